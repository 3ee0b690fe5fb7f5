/**
 * Pick: a click on a missed cell asks the segmenter for it. Several clicks may wait for their
 * answers at once; each becomes a cell of its own when it comes.
 */
import { select } from "../core/commands";
import { addCell } from "../core/corrections";
import type { Point } from "../core/geometry";
import { GESTURE } from "../core/origin";
import type { OverlayShape } from "../core/overlay";
import { labelUnder, pixelUnder, type PointerInput, type Tool, type ToolContext } from "./tool";

/** Of the marker at a click that waits, in image pixels. */
const MARKER_RADIUS = 4;
export const PRESENT = "There is a cell already: it is selected.";

export class Pick implements Tool {
  readonly name = "pick";
  readonly cursor = "crosshair";
  /** The clicks whose answers have not come. A cancelled one is no longer among them. */
  private pending = new Set<Point>();

  get busy(): boolean {
    return this.pending.size > 0;
  }

  pointerDown(context: ToolContext, { at }: PointerInput): void {
    const { state, services } = context;
    const { x, y } = pixelUnder(at);
    const { width, height } = state.doc.labels;
    if (state.options.mode === "protect" && selectUnder(context, at)) return;
    if (services === undefined || x < 0 || y < 0 || x >= width || y >= height) return;
    void this.ask(context, services, at);
  }

  pointerMove(): void {
    // What counts is where the pointer went down.
  }

  pointerUp(): void {
    // The answer may come before or after.
  }

  cancel(): void {
    this.pending.clear();
  }

  key(): boolean {
    return false;
  }

  overlay(): OverlayShape[] {
    return [...this.pending].map((centre) => ({
      kind: "ring",
      centre,
      radius: MARKER_RADIUS,
      tone: "add",
    }));
  }

  private async ask(
    context: ToolContext,
    services: NonNullable<ToolContext["services"]>,
    at: Point,
  ): Promise<void> {
    // A copy: two clicks on the same point are two questions.
    const click = { ...at };
    this.pending.add(click);
    const spans = await services.cellAt(pixelUnder(at));
    const wanted = this.pending.delete(click);
    if (wanted && spans !== null) {
      const { state, dispatch } = context;
      const addition = { name: GESTURE.pick, meta: state.options.brushMeta, at };
      if (!addCell(spans, addition)(state, dispatch)) selectUnder(context, at);
    }
    context.refresh?.();
  }
}

/** Select the cell that is there already, and say so; false where there is none. */
function selectUnder({ state, dispatch, say }: ToolContext, at: Point): boolean {
  const label = labelUnder(state, at);
  if (label === 0) return false;
  select([label])(state, dispatch);
  say?.(PRESENT);
  return true;
}
