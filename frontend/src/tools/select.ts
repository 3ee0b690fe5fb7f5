/** Select: a click takes the cell under it, Shift toggles, a drag takes all cells in the box. */
import { boxAround, intersect, distance, type Box, type Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { EditorState } from "../core/state";
import { boxSpans, labelsUnder } from "../core/paint";
import { DRAG_THRESHOLD, labelUnder, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "pointing"; readonly from: PointerInput }
  | { readonly kind: "banding"; readonly from: PointerInput; readonly to: Point };

export class Select implements Tool {
  readonly name = "select";
  readonly cursor = "default";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind !== "idle";
  }

  pointerDown(_context: ToolContext, input: PointerInput): void {
    this.phase = { kind: "pointing", from: input };
  }

  pointerMove(_context: ToolContext, { at, screen }: PointerInput): void {
    if (this.phase.kind === "idle") return;
    const { from } = this.phase;
    const dragged = distance(screen, from.screen) >= DRAG_THRESHOLD;
    if (this.phase.kind === "banding" || dragged) this.phase = { kind: "banding", from, to: at };
  }

  pointerUp(context: ToolContext, input: PointerInput): void {
    const { phase } = this;
    this.phase = { kind: "idle" };
    if (phase.kind === "pointing") this.click(context, phase.from);
    if (phase.kind === "banding") this.take(context, boxAround(phase.from.at, input.at), input);
  }

  cancel(): void {
    this.phase = { kind: "idle" };
  }

  key(): boolean {
    return false;
  }

  overlay(): OverlayShape[] {
    if (this.phase.kind !== "banding") return [];
    return [{ kind: "box", box: boxAround(this.phase.from.at, this.phase.to), tone: "select" }];
  }

  private click({ state, dispatch }: ToolContext, { at, shift }: PointerInput): void {
    const label = labelUnder(state, at);
    if (!shift) {
      dispatch({ kind: "select", selection: new Set(label === 0 ? [] : [label]) });
      return;
    }
    if (label === 0) return;
    const selection = new Set(state.selection);
    if (!selection.delete(label)) selection.add(label);
    dispatch({ kind: "select", selection });
  }

  private take({ state, dispatch }: ToolContext, band: Box, { shift }: PointerInput): void {
    const found = cellsIn(state, band);
    const selection = shift ? new Set([...state.selection, ...found]) : found;
    dispatch({ kind: "select", selection });
  }
}

/** Cells with a pixel in the band. */
function cellsIn(state: EditorState, band: Box): Set<number> {
  const pixels = {
    x0: Math.floor(band.x0),
    y0: Math.floor(band.y0),
    x1: Math.ceil(band.x1),
    y1: Math.ceil(band.y1),
  };
  const inside = intersect(pixels, state.doc.labels.box);
  return inside === null ? new Set() : labelsUnder(state.doc.labels, boxSpans(inside));
}
