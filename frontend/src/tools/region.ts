/**
 * Region: a dragged rectangle is marked complete; with Alt it is marked no longer.
 * A click on a region's corner cross removes that one.
 */
import {
  completeRegion,
  cornerAt,
  reopenBox,
  reopenRegion,
  wholePixels,
} from "../core/completeness";
import { boxAround, distance, type Box, type Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { EditorState } from "../core/state";
import { DRAG_THRESHOLD, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "pointing"; readonly from: PointerInput }
  | { readonly kind: "banding"; readonly from: PointerInput; readonly to: Point };

/** How near to a corner a click must be, in CSS pixels. */
const REACH = 10;

export class RegionTool implements Tool {
  readonly name = "region";
  readonly cursor = "crosshair";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind !== "idle";
  }

  pointerDown(_context: ToolContext, input: PointerInput): void {
    this.phase = { kind: "pointing", from: input };
  }

  pointerMove(_context: ToolContext, { at, screen }: PointerInput): void {
    const { phase } = this;
    if (phase.kind === "banding") this.phase = { ...phase, to: at };
    else if (phase.kind === "pointing" && distance(screen, phase.from.screen) >= DRAG_THRESHOLD) {
      this.phase = { kind: "banding", from: phase.from, to: at };
    }
  }

  pointerUp({ state, dispatch, scale }: ToolContext, { at }: PointerInput): void {
    const { phase } = this;
    this.phase = { kind: "idle" };
    if (phase.kind === "banding") {
      const box = boxAround(phase.from.at, at);
      (phase.from.alt ? reopenBox(box) : completeRegion(box))(state, dispatch);
    } else if (phase.kind === "pointing") {
      const region = cornerAt(state.doc.regions, phase.from.at, REACH / scale);
      if (region !== null) reopenRegion(region)(state, dispatch);
    }
  }

  cancel(): void {
    this.phase = { kind: "idle" };
  }

  key(): boolean {
    return false;
  }

  overlay(state: EditorState): OverlayShape[] {
    const crosses = (state.doc.regions ?? []).map(crossOn);
    return this.phase.kind === "banding" ? [...crosses, this.band(state, this.phase)] : crosses;
  }

  private band(state: EditorState, { from, to }: Phase & { kind: "banding" }): OverlayShape {
    const drawn = boxAround(from.at, to);
    const box = wholePixels(drawn, state.doc.labels.box) ?? drawn;
    return { kind: "box", box, tone: from.alt ? "remove" : "add" };
  }
}

function crossOn({ x1, y0 }: Box): OverlayShape {
  return { kind: "cross", at: { x: x1, y: y0 }, tone: "remove" };
}
