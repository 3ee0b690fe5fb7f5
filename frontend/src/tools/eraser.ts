/**
 * Eraser. In protect mode it erases the selected cells when the stroke starts on one of them,
 * else the first cell it touches, and no other; in overwrite mode everything under it.
 */
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { anyLabel, labelsUnder, only, paintSpans, type Rule } from "../core/paint";
import { diskSpans, strokeSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import { brushRadius, labelUnder, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | {
      readonly kind: "painting";
      readonly last: Point;
      readonly radius: number;
      readonly targets: ReadonlySet<number> | null;
    };

export class Eraser implements Tool {
  readonly name = "eraser";
  readonly cursor = "none";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind === "painting";
  }

  pointerDown(context: ToolContext, input: PointerInput): void {
    const radius = brushRadius(context.state.options, input);
    this.phase = { kind: "painting", last: input.at, radius, targets: null };
    this.erase(context, input);
  }

  pointerMove(context: ToolContext, input: PointerInput): void {
    if (this.phase.kind === "painting") this.erase(context, input);
  }

  pointerUp(context: ToolContext): void {
    if (this.phase.kind !== "painting") return;
    this.phase = { kind: "idle" };
    context.dispatch({ kind: "end" });
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
    return [{ kind: "ring", centre: pointer, radius, tone: "remove" }];
  }

  private erase(context: ToolContext, input: PointerInput): void {
    if (this.phase.kind !== "painting") return;
    const { at } = input;
    const { doc, options } = context.state;
    const radius = brushRadius(options, input);
    const targets = this.phase.targets ?? firstTouched(context.state, at, radius);
    const spans = strokeSpans(this.phase.last, at, radius, doc.labels.box);
    this.phase = { kind: "painting", last: at, radius, targets };
    const step = paintSpans(doc.labels, spans, 0, ruleOf(options.mode === "overwrite", targets));
    if (step.isEmpty) return;
    context.dispatch({ kind: "edit", name: "Erase", steps: [step], open: true });
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
