/** Merge: a stroke over cells joins them into the largest. */
import { mergeCells } from "../core/commands";
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { cellsAlong } from "../core/paint";
import type { PointerInput, Tool, ToolContext } from "./tool";

type Phase =
  { readonly kind: "idle" } | { readonly kind: "crossing"; readonly points: readonly Point[] };

export class Merge implements Tool {
  readonly name = "merge";
  readonly cursor = "crosshair";
  private phase: Phase = { kind: "idle" };
  private selectionBefore: ReadonlySet<number> = new Set();

  get busy(): boolean {
    return this.phase.kind === "crossing";
  }

  pointerDown(context: ToolContext, { at }: PointerInput): void {
    this.selectionBefore = context.state.selection;
    this.phase = { kind: "crossing", points: [at] };
    this.show(context);
  }

  pointerMove(context: ToolContext, { at }: PointerInput): void {
    if (this.phase.kind !== "crossing") return;
    this.phase = { kind: "crossing", points: [...this.phase.points, at] };
    this.show(context);
  }

  pointerUp(context: ToolContext): void {
    if (this.phase.kind !== "crossing") return;
    const crossed = cellsAlong(context.state.doc.labels, this.phase.points);
    this.phase = { kind: "idle" };
    mergeCells(crossed)(context.state, context.dispatch);
  }

  cancel(context: ToolContext): void {
    if (this.phase.kind === "idle") return;
    this.phase = { kind: "idle" };
    context.dispatch({ kind: "select", selection: this.selectionBefore });
  }

  key(): boolean {
    return false;
  }

  overlay(): OverlayShape[] {
    if (this.phase.kind === "idle") return [];
    const { points } = this.phase;
    return [{ kind: "path", points, closed: false, vertices: false, tone: "select" }];
  }

  /** The cells to be merged are shown as the selection while the stroke goes on. */
  private show({ state, dispatch }: ToolContext): void {
    if (this.phase.kind !== "crossing") return;
    dispatch({ kind: "select", selection: cellsAlong(state.doc.labels, this.phase.points) });
  }
}
