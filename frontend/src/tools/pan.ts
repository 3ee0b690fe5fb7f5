/** Pan: the image follows the pointer. */
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { PointerInput, Tool, ToolContext } from "./tool";

type Phase = { readonly kind: "idle" } | { readonly kind: "dragging"; readonly last: Point };

export class Pan implements Tool {
  readonly name = "pan";
  private phase: Phase = { kind: "idle" };

  get cursor(): string {
    return this.busy ? "grabbing" : "grab";
  }

  get busy(): boolean {
    return this.phase.kind === "dragging";
  }

  pointerDown(_context: ToolContext, { screen }: PointerInput): void {
    this.phase = { kind: "dragging", last: screen };
  }

  pointerMove({ pan }: ToolContext, { screen }: PointerInput): void {
    if (this.phase.kind !== "dragging") return;
    pan(screen.x - this.phase.last.x, screen.y - this.phase.last.y);
    this.phase = { kind: "dragging", last: screen };
  }

  pointerUp(): void {
    this.phase = { kind: "idle" };
  }

  cancel(): void {
    this.phase = { kind: "idle" };
  }

  key(): boolean {
    return false;
  }

  overlay(): OverlayShape[] {
    return [];
  }
}
