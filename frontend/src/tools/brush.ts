/** Brush: extends the cell the stroke starts on (or the selected one it touches), else a new one. */
import { newCellStep } from "../core/commands";
import type { Point } from "../core/geometry";
import { GESTURE } from "../core/origin";
import { labelsUnder, paintable, paintSpans } from "../core/paint";
import { diskSpans, strokeSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import type { Step } from "../core/steps";
import { Stroke, type Part } from "./stroke";
import { brushRadius, labelUnder, type PointerInput, type ToolContext } from "./tool";

export class Brush extends Stroke {
  readonly name = "brush";
  protected readonly tone = "add";
  private label = 0;
  /** Goes before the first paint. */
  private opening: readonly Step[] = [];

  protected begin({ state }: ToolContext, input: PointerInput): void {
    const existing = targetOf(state, input.at, brushRadius(state.options, input));
    this.label = existing ?? state.doc.highest + 1;
    this.opening = existing === null ? [newCellStep(this.label, state.options.brushMeta)] : [];
  }

  protected paint({ state, dispatch }: ToolContext, { from, to, radius }: Part): void {
    const { doc, options } = state;
    const spans = strokeSpans(from, to, radius, doc.labels.box);
    const step = paintSpans(doc.labels, spans, this.label, paintable(options.mode));
    const steps = step.isEmpty ? this.opening : [...this.opening, step];
    this.opening = [];
    if (steps.length === 0) return;
    const selection = new Set([this.label]);
    dispatch({ kind: "edit", name: GESTURE.brush, steps, selection, open: true });
  }

  protected override finish({ state, dispatch }: ToolContext): void {
    const drawn = state.doc.geometry.get(this.label) !== undefined;
    // In protect mode a stroke over other cells only may paint nothing: no empty cell is kept.
    dispatch({ kind: drawn ? "end" : "cancel" });
    if (drawn) dispatch({ kind: "set", options: { startNew: false } });
  }
}

/** The cell a stroke that starts here extends; null: it draws a new one. */
function targetOf(state: EditorState, at: Point, radius: number): number | null {
  if (state.options.startNew) return null;
  const started = labelUnder(state, at);
  if (started !== 0) return started;
  // One pixel more than the brush: a stroke beside the selected cell extends it too.
  const disk = diskSpans(at, radius + 1, state.doc.labels.box);
  const touched = labelsUnder(state.doc.labels, disk);
  for (const label of state.selection) if (touched.has(label)) return label;
  return null;
}
