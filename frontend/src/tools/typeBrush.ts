/** Type brush: every cell that the stroke touches gets the brush's type. */
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { labelsUnder } from "../core/paint";
import { strokeSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import { typeStep } from "../core/steps";
import { brushRadius, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "painting"; readonly last: Point; readonly radius: number };

export class TypeBrush implements Tool {
  readonly name = "type";
  readonly cursor = "none";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind === "painting";
  }

  pointerDown(context: ToolContext, input: PointerInput): void {
    this.paint(context, input, input.at);
  }

  pointerMove(context: ToolContext, input: PointerInput): void {
    if (this.phase.kind === "painting") this.paint(context, input, this.phase.last);
  }

  pointerUp(context: ToolContext): void {
    if (this.phase.kind === "idle") return;
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
    return [{ kind: "ring", centre: pointer, radius, tone: "select" }];
  }

  private paint({ state, dispatch }: ToolContext, input: PointerInput, from: Point): void {
    const { doc, options } = state;
    const radius = brushRadius(options, input);
    this.phase = { kind: "painting", last: input.at, radius };
    const touched = labelsUnder(doc.labels, strokeSpans(from, input.at, radius, doc.labels.box));
    const { type } = options.brushMeta;
    const step = typeStep(doc, touched, { type, source: "human" });
    if (step.isEmpty) return;
    const name = type === null ? "Clear types" : `Type ${type}`;
    dispatch({ kind: "edit", name, steps: [step], open: true });
  }
}
