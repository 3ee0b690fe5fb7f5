/**
 * Eraser. In protect mode it erases the selected cells when the stroke starts on one of them,
 * else the first cell it touches, and no other; in overwrite mode everything under it.
 */
import type { Point } from "../core/geometry";
import { anyLabel, labelsUnder, only, paintSpans, type Rule } from "../core/paint";
import { diskSpans, strokeSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import { Stroke, type Part } from "./stroke";
import { labelUnder, type ToolContext } from "./tool";

export class Eraser extends Stroke {
  readonly name = "eraser";
  protected readonly tone = "remove";
  private targets: ReadonlySet<number> | null = null;

  protected begin(): void {
    this.targets = null;
  }

  protected paint({ state, dispatch }: ToolContext, { from, to, radius }: Part): void {
    const { doc, options } = state;
    this.targets ??= firstTouched(state, to, radius);
    const spans = strokeSpans(from, to, radius, doc.labels.box);
    const rule = ruleOf(options.mode === "overwrite", this.targets);
    const step = paintSpans(doc.labels, spans, 0, rule);
    if (!step.isEmpty) dispatch({ kind: "edit", name: "Erase", steps: [step], open: true });
  }
}

function ruleOf(all: boolean, targets: ReadonlySet<number> | null): Rule {
  if (all) return anyLabel;
  return only(targets ?? new Set());
}

/** What the eraser takes hold of here; null while it touches nothing. */
function firstTouched(state: EditorState, at: Point, radius: number): ReadonlySet<number> | null {
  const disk = diskSpans(at, radius, state.doc.labels.box);
  const touched = labelsUnder(state.doc.labels, disk);
  if ([...state.selection].some((label) => touched.has(label))) return state.selection;
  const centred = labelUnder(state, at);
  const [any] = touched;
  const first = centred !== 0 ? centred : any;
  return first === undefined ? null : new Set([first]);
}
