/** Brush: extends the cell the stroke starts on (or the selected one it touches), else a new one. */
import { newCellStep } from "../core/commands";
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { labelsUnder, paintable, paintSpans } from "../core/paint";
import { diskSpans, strokeSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import type { Step } from "../core/steps";
import { brushRadius, labelUnder, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | {
      readonly kind: "painting";
      readonly label: number;
      readonly last: Point;
      readonly radius: number;
    };

export class Brush implements Tool {
  readonly name = "brush";
  readonly cursor = "none";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind === "painting";
  }

  pointerDown(context: ToolContext, input: PointerInput): void {
    const { state } = context;
    const radius = brushRadius(state.options, input);
    const existing = targetOf(state, input.at, radius);
    const label = existing ?? state.doc.highest + 1;
    const opening = existing === null ? [newCellStep(label, state.options.brushMeta)] : [];
    this.phase = { kind: "painting", label, last: input.at, radius };
    this.paint(context, input, opening);
  }

  pointerMove(context: ToolContext, input: PointerInput): void {
    if (this.phase.kind === "painting") this.paint(context, input, []);
  }

  pointerUp(context: ToolContext): void {
    if (this.phase.kind !== "painting") return;
    const { label } = this.phase;
    this.phase = { kind: "idle" };
    const drawn = context.state.doc.geometry.get(label) !== undefined;
    // In protect mode a stroke over other cells only may paint nothing: no empty cell is kept.
    context.dispatch({ kind: drawn ? "end" : "cancel" });
    if (drawn) context.dispatch({ kind: "set", options: { startNew: false } });
  }

  cancel(context: ToolContext): void {
    if (this.phase.kind === "idle") return;
    this.phase = { kind: "idle" };
    context.dispatch({ kind: "cancel" });
  }

  key(): boolean {
    return false;
  }

  overlay(state: EditorState, pointer: Point | null): OverlayShape[] {
    if (pointer === null) return [];
    const radius = this.phase.kind === "painting" ? this.phase.radius : state.options.diameter / 2;
    return [{ kind: "ring", centre: pointer, radius, tone: "add" }];
  }

  private paint(context: ToolContext, input: PointerInput, opening: readonly Step[]): void {
    if (this.phase.kind !== "painting") return;
    const { label, last } = this.phase;
    const { doc, options } = context.state;
    const radius = brushRadius(options, input);
    const spans = strokeSpans(last, input.at, radius, doc.labels.box);
    const step = paintSpans(doc.labels, spans, label, paintable(options.mode));
    this.phase = { kind: "painting", label, last: input.at, radius };
    const steps = step.isEmpty ? opening : [...opening, step];
    if (steps.length === 0) return;
    context.dispatch({
      kind: "edit",
      name: "Brush",
      steps,
      selection: new Set([label]),
      open: true,
    });
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
