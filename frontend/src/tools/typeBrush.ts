/** Type brush: every cell that the stroke touches gets the brush's type. */
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { labelsUnder } from "../core/paint";
import { strokeSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import { typeStep } from "../core/steps";
import { Stroke, type Part } from "./stroke";
import type { ToolContext } from "./tool";

export class TypeBrush extends Stroke {
  readonly name = "type";
  protected readonly tone = "select";

  protected begin(): void {
    // Nothing depends on where the stroke starts.
  }

  protected paint({ state, dispatch }: ToolContext, { from, to, radius }: Part): void {
    const { doc, options } = state;
    const touched = labelsUnder(doc.labels, strokeSpans(from, to, radius, doc.labels.box));
    const { paintType } = options;
    const step = typeStep(doc, touched, { type: paintType, source: "human" });
    if (step.isEmpty) return;
    const name = paintType === null ? "Clear types" : `Type ${paintType}`;
    dispatch({ kind: "edit", name, steps: [step], open: true });
  }

  override overlay(state: EditorState, pointer: Point | null): OverlayShape[] {
    return super
      .overlay(state, pointer)
      .map((shape) =>
        shape.kind === "ring" ? { ...shape, type: state.options.paintType } : shape,
      );
  }
}
