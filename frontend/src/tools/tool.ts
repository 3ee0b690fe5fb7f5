/**
 * A tool is a small state machine driven by pointer events in image coordinates. It reads the
 * state, dispatches transactions and describes what it shows; it knows neither DOM nor camera.
 */
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { Dispatch, EditorState } from "../core/state";

export interface PointerInput {
  /** Image pixels; may lie outside the image. */
  readonly at: Point;
  /** CSS pixels inside the view, for panning and for telling a click from a drag. */
  readonly screen: Point;
  readonly shift: boolean;
  readonly alt: boolean;
}

export interface ToolContext {
  /** The state now, not the one of when the gesture began. */
  readonly state: EditorState;
  readonly dispatch: Dispatch;
  /** CSS pixels per image pixel, now. */
  readonly scale: number;
  /** Move the view by CSS pixels. */
  readonly pan: (dx: number, dy: number) => void;
}

export type ToolName = "select" | "brush" | "eraser" | "polygon" | "merge" | "delete" | "pan";

export interface Tool {
  readonly name: ToolName;
  /** CSS cursor over the image; "none" where the overlay shows one. */
  readonly cursor: string;
  pointerDown(context: ToolContext, input: PointerInput): void;
  pointerMove(context: ToolContext, input: PointerInput): void;
  pointerUp(context: ToolContext, input: PointerInput): void;
  /** Give the gesture up; nothing of it remains. */
  cancel(context: ToolContext): void;
  /** True when the key was for the gesture in progress. */
  key(context: ToolContext, key: string): boolean;
  /** True from pointerDown until the gesture is over. */
  readonly busy: boolean;
  /** What to draw, given where the pointer is (null: outside the view). */
  overlay(state: EditorState, pointer: Point | null): OverlayShape[];
}

/** A drag starts when the pointer has moved this far, in CSS pixels. */
export const DRAG_THRESHOLD = 4;

export function pixelUnder(point: Point): Point {
  return { x: Math.floor(point.x), y: Math.floor(point.y) };
}

export function labelUnder(state: EditorState, point: Point): number {
  const { x, y } = pixelUnder(point);
  return state.doc.labels.at(x, y);
}
