/** Where the view looks: plain values and functions, all in CSS pixels and image pixels. */
import type { Box, Point } from "../core/geometry";

export interface Camera {
  /** The image point in the middle of the view. */
  readonly centre: Point;
  /** CSS pixels per image pixel. */
  readonly scale: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const LARGEST_SCALE = 64;
const MARGIN = 24;

export function toImage(camera: Camera, view: Size, screen: Point): Point {
  return {
    x: camera.centre.x + (screen.x - view.width / 2) / camera.scale,
    y: camera.centre.y + (screen.y - view.height / 2) / camera.scale,
  };
}

export function toScreen(camera: Camera, view: Size, at: Point): Point {
  return {
    x: (at.x - camera.centre.x) * camera.scale + view.width / 2,
    y: (at.y - camera.centre.y) * camera.scale + view.height / 2,
  };
}

/** The camera that shows a whole box with a small margin. */
export function fit(box: Box, view: Size, largest = LARGEST_SCALE): Camera {
  const width = Math.max(1, view.width - 2 * MARGIN);
  const height = Math.max(1, view.height - 2 * MARGIN);
  const scale = Math.min(width / (box.x1 - box.x0), height / (box.y1 - box.y0), largest);
  return { centre: { x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2 }, scale };
}

export function panned(camera: Camera, dx: number, dy: number): Camera {
  const { centre, scale } = camera;
  return { scale, centre: { x: centre.x - dx / scale, y: centre.y - dy / scale } };
}

/** Zoom by a factor; the image point under `screen` stays where it is. */
export function zoomed(camera: Camera, view: Size, screen: Point, factor: number): Camera {
  const fixed = toImage(camera, view, screen);
  const scale = camera.scale * factor;
  return {
    scale,
    centre: {
      x: fixed.x - (screen.x - view.width / 2) / scale,
      y: fixed.y - (screen.y - view.height / 2) / scale,
    },
  };
}

/** Keep the zoom within sense and some of the image in sight. */
export function clamped(camera: Camera, view: Size, image: Size): Camera {
  const whole = fit({ x0: 0, y0: 0, x1: image.width, y1: image.height }, view);
  const scale = Math.min(LARGEST_SCALE, Math.max(whole.scale / 4, camera.scale));
  return {
    scale,
    centre: {
      x: Math.min(image.width, Math.max(0, camera.centre.x)),
      y: Math.min(image.height, Math.max(0, camera.centre.y)),
    },
  };
}

/** As near to a camera as shows no more beside the image than must be. */
export function filled(camera: Camera, view: Size, image: Size): Camera {
  const along = (at: number, sight: number, length: number): number => {
    const half = sight / camera.scale / 2;
    return 2 * half >= length ? length / 2 : Math.min(length - half, Math.max(half, at));
  };
  const { x, y } = camera.centre;
  const centre = {
    x: along(x, view.width, image.width),
    y: along(y, view.height, image.height),
  };
  return { ...camera, centre };
}

/** What lies over the view at its upper and lower edge, in CSS pixels. */
export interface Covers {
  readonly top: number;
  readonly bottom: number;
}

/** Moved up or down until a box is out from under the covers, as far as it fits between them. */
export function uncovered(camera: Camera, view: Size, box: Box, covers: Covers): Camera {
  const top = toScreen(camera, view, { x: box.x0, y: box.y0 }).y;
  const bottom = toScreen(camera, view, { x: box.x0, y: box.y1 }).y;
  const lowest = Math.min(top, view.height - covers.bottom - (bottom - top));
  return panned(camera, 0, Math.max(covers.top, lowest) - top);
}

/** Two fingers: the points under them stay under them (as far as one scale allows). */
export function pinched(
  camera: Camera,
  view: Size,
  before: readonly [Point, Point],
  after: readonly [Point, Point],
): Camera {
  const middle = ([a, b]: readonly [Point, Point]): Point => ({
    x: (a.x + b.x) / 2,
    y: (a.y + b.y) / 2,
  });
  const spread = ([a, b]: readonly [Point, Point]): number =>
    Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
  const from = middle(before);
  const to = middle(after);
  const moved = panned(camera, to.x - from.x, to.y - from.y);
  return zoomed(moved, view, to, spread(after) / spread(before));
}
