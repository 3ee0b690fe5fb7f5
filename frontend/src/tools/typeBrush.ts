/** Type brush: every cell that the stroke touches gets the brush's type. */
import { labelsUnder } from "../core/paint";
import { strokeSpans } from "../core/raster";
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
    const { type } = options.brushMeta;
    const step = typeStep(doc, touched, { type, source: "human" });
    if (step.isEmpty) return;
    const name = type === null ? "Clear types" : `Type ${type}`;
    dispatch({ kind: "edit", name, steps: [step], open: true });
  }
}
