/** Delete: a click, or a stroke over several cells, removes them when the pointer is lifted. */
import { deleteCells } from "../core/commands";
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { cellsAlong } from "../core/paint";
import type { PointerInput, Tool, ToolContext } from "./tool";

type Phase =
  { readonly kind: "idle" } | { readonly kind: "marking"; readonly points: readonly Point[] };

export class Delete implements Tool {
  readonly name = "delete";
  readonly cursor = "crosshair";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind === "marking";
  }

  pointerDown(_context: ToolContext, { at }: PointerInput): void {
    this.phase = { kind: "marking", points: [at] };
  }

  pointerMove(_context: ToolContext, { at }: PointerInput): void {
    if (this.phase.kind === "marking") {
      this.phase = { kind: "marking", points: [...this.phase.points, at] };
    }
  }

  pointerUp({ state, dispatch }: ToolContext): void {
    if (this.phase.kind !== "marking") return;
    const marked = cellsAlong(state.doc.labels, this.phase.points);
    this.phase = { kind: "idle" };
    deleteCells(marked)(state, dispatch);
  }

  cancel(): void {
    this.phase = { kind: "idle" };
  }

  key(): boolean {
    return false;
  }

  overlay(): OverlayShape[] {
    if (this.phase.kind === "idle") return [];
    const { points } = this.phase;
    return [{ kind: "path", points, closed: false, vertices: false, tone: "remove" }];
  }
}
