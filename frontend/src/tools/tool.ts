/**
 * A tool is a small state machine driven by pointer events in image coordinates. It reads the
 * state, dispatches transactions and describes what it shows; it knows neither DOM nor camera.
 */
import type { Point, Span } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { Dispatch, EditorState, Options } from "../core/state";

export interface PointerInput {
  /** Image pixels; may lie outside the image. */
  readonly at: Point;
  /** CSS pixels inside the view, for panning and for telling a click from a drag. */
  readonly screen: Point;
  readonly shift: boolean;
  readonly alt: boolean;
  /** 0 … 1; what a device without pressure reports means nothing. */
  readonly pressure: number;
  /** Held by a pen, whose pressure counts. */
  readonly pen: boolean;
}

/** What tools ask of the world outside the document. */
export interface ToolServices {
  /** The cell that the segmenter sees at a pixel; null, and the reason said, when there is none. */
  readonly cellAt: (pixel: Point) => Promise<readonly Span[] | null>;
}

export interface ToolContext {
  /** The state now, not the one of when the gesture began. */
  readonly state: EditorState;
  readonly dispatch: Dispatch;
  /** CSS pixels per image pixel, now. */
  readonly scale: number;
  /** Move the view by CSS pixels. */
  readonly pan: (dx: number, dy: number) => void;
  /** Missing where nothing can be asked, as on an image that is only looked at. */
  readonly services?: ToolServices;
  /** Tell the person why nothing, or something else, was done. */
  readonly say?: (text: string) => void;
  /** To be called when what the tool shows changed outside a gesture. */
  readonly refresh?: () => void;
  /**
   * To be called with "The polygon is closed" and the like when a gesture ended that a key could
   * have ended too: the key may be on its way.
   */
  readonly ended?: (what: string) => void;
}

export type ToolName =
  | "select"
  | "lasso"
  | "brush"
  | "eraser"
  | "polygon"
  | "wand"
  | "pick"
  | "split"
  | "merge"
  | "type"
  | "delete"
  | "region"
  | "pan";

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
  /** Take back the last click of the gesture in progress; false when there is none. */
  undo?(): boolean;
  /** Put the click there again that was taken back last; false when no gesture is in progress. */
  redo?(): boolean;
  /** A click was taken back that `redo` would put there again. */
  readonly redoable?: boolean;
  /** True from pointerDown until the gesture is over. */
  readonly busy: boolean;
  /** What to draw, given where the pointer is (null: outside the view) and the scale. */
  overlay(state: EditorState, pointer: Point | null, scale?: number): OverlayShape[];
}

/** A drag starts when the pointer has moved this far, in CSS pixels. */
export const DRAG_THRESHOLD = 4;

/** A pen held as one writes reports about a half. */
const USUAL_PRESSURE = 0.5;
const PRESSURE_SCALES = { least: 0.2, most: 1.5 };

/** The radius of brush and eraser now: as set, but a pen's pressure makes it smaller or larger. */
export function brushRadius(
  { diameter }: Pick<Options, "diameter">,
  { pen, pressure }: PointerInput,
): number {
  const { least, most } = PRESSURE_SCALES;
  const scale = pen ? Math.min(most, Math.max(least, pressure / USUAL_PRESSURE)) : 1;
  return (diameter / 2) * scale;
}

export function pixelUnder(point: Point): Point {
  return { x: Math.floor(point.x), y: Math.floor(point.y) };
}

export function labelUnder(state: EditorState, point: Point): number {
  const { x, y } = pixelUnder(point);
  return state.doc.labels.at(x, y);
}
