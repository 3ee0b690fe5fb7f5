/** Shapes to pixels: a pixel belongs to a shape when its centre does. */
import type { Box, Point, Span } from "./geometry";

interface Interval {
  left: number;
  right: number;
}

/**
 * The pixels a round brush covers on its way from `a` to `b`: all within `radius` of the
 * segment, so that fast strokes leave no gaps. A brush under two pixels wide draws the 8-connected line
 * of pixels it passes.
 */
export function strokeSpans(a: Point, b: Point, radius: number, clip: Box): Span[] {
  if (radius < 1) return lineSpans(a, b, clip);
  const spans: Span[] = [];
  const top = Math.max(clip.y0, Math.floor(Math.min(a.y, b.y) - radius));
  const bottom = Math.min(clip.y1, Math.ceil(Math.max(a.y, b.y) + radius));
  for (let y = top; y < bottom; y++) {
    const reach = { left: Infinity, right: -Infinity };
    widenByDisk(reach, a, radius, y + 0.5);
    widenByDisk(reach, b, radius, y + 0.5);
    widenByBand(reach, { a, b, radius }, y + 0.5);
    const x0 = Math.max(clip.x0, Math.ceil(reach.left - 0.5));
    const x1 = Math.min(clip.x1, Math.floor(reach.right - 0.5) + 1);
    if (x0 < x1) spans.push({ y, x0, x1 });
  }
  return spans;
}

export function diskSpans(centre: Point, radius: number, clip: Box): Span[] {
  return strokeSpans(centre, centre, radius, clip);
}

function widenByDisk(reach: Interval, centre: Point, radius: number, y: number): void {
  const dy = y - centre.y;
  if (Math.abs(dy) > radius) return;
  const half = Math.sqrt(radius * radius - dy * dy);
  reach.left = Math.min(reach.left, centre.x - half);
  reach.right = Math.max(reach.right, centre.x + half);
}

/** The rectangle between the two disks, cut at height y. */
function widenByBand(
  reach: Interval,
  band: { a: Point; b: Point; radius: number },
  y: number,
): void {
  const { a, b, radius } = band;
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  if (length === 0) return;
  const nx = (-(b.y - a.y) / length) * radius;
  const ny = ((b.x - a.x) / length) * radius;
  const corners = [
    { x: a.x + nx, y: a.y + ny },
    { x: b.x + nx, y: b.y + ny },
    { x: b.x - nx, y: b.y - ny },
    { x: a.x - nx, y: a.y - ny },
  ];
  corners.forEach((from, index) => {
    const to = corners[(index + 1) % 4] as Point;
    if (from.y <= y === to.y <= y) return;
    const x = from.x + ((y - from.y) / (to.y - from.y)) * (to.x - from.x);
    reach.left = Math.min(reach.left, x);
    reach.right = Math.max(reach.right, x);
  });
}

/** The 8-connected line of pixels from a to b, both ends included (Bresenham). */
export function linePixels(a: Point, b: Point): Point[] {
  let x = Math.floor(a.x);
  let y = Math.floor(a.y);
  const endX = Math.floor(b.x);
  const endY = Math.floor(b.y);
  const dx = Math.abs(endX - x);
  const dy = -Math.abs(endY - y);
  const sx = x < endX ? 1 : -1;
  const sy = y < endY ? 1 : -1;
  const pixels: Point[] = [];
  let error = dx + dy;
  for (;;) {
    pixels.push({ x, y });
    if (x === endX && y === endY) return pixels;
    const doubled = 2 * error;
    if (doubled >= dy) {
      error += dy;
      x += sx;
    }
    if (doubled <= dx) {
      error += dx;
      y += sy;
    }
  }
}

/** The pixels of a path of lines, from its first point to its last. */
export function pathPixels(points: readonly Point[]): Point[] {
  return points.flatMap((point, index) => linePixels(points[index - 1] ?? point, point));
}

function lineSpans(a: Point, b: Point, clip: Box): Span[] {
  return linePixels(a, b)
    .filter(({ x, y }) => x >= clip.x0 && x < clip.x1 && y >= clip.y0 && y < clip.y1)
    .sort((p, q) => p.y - q.y || p.x - q.x)
    .map(({ x, y }) => ({ y, x0: x, x1: x + 1 }));
}

/** The inside of a closed polygon by the non-zero rule: a lasso's loops are filled too. */
export function polygonSpans(points: readonly Point[], clip: Box): Span[] {
  if (points.length < 3) return [];
  const ys = points.map((point) => point.y);
  const top = Math.max(clip.y0, Math.floor(Math.min(...ys)));
  const bottom = Math.min(clip.y1, Math.ceil(Math.max(...ys)));
  const spans: Span[] = [];
  for (let y = top; y < bottom; y++) {
    for (const { left, right } of insideAt(points, y + 0.5)) {
      const x0 = Math.max(clip.x0, Math.ceil(left - 0.5));
      const x1 = Math.min(clip.x1, Math.ceil(right - 0.5));
      if (x0 < x1) spans.push({ y, x0, x1 });
    }
  }
  return spans;
}

/** The disjoint intervals in which the horizontal line at height y runs inside the polygon. */
function insideAt(points: readonly Point[], y: number): Interval[] {
  const crossings: { x: number; turn: number }[] = [];
  points.forEach((from, index) => {
    const to = points[(index + 1) % points.length] as Point;
    if (from.y <= y === to.y <= y) return;
    const x = from.x + ((y - from.y) / (to.y - from.y)) * (to.x - from.x);
    crossings.push({ x, turn: to.y > from.y ? 1 : -1 });
  });
  crossings.sort((p, q) => p.x - q.x);
  const intervals: Interval[] = [];
  let winding = 0;
  let left = 0;
  for (const { x, turn } of crossings) {
    if (winding === 0) left = x;
    winding += turn;
    if (winding === 0) intervals.push({ left, right: x });
  }
  return intervals;
}
