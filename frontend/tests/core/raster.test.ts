import { describe, expect, it } from "vitest";
import type { Point, Span } from "../../src/core/geometry";
import { linePixels, polygonSpans, strokeSpans } from "../../src/core/raster";
import { chance } from "./drawing";

const CLIP = { x0: 0, y0: 0, x1: 60, y1: 50 };

function covered(spans: readonly Span[]): Set<string> {
  const pixels = new Set<string>();
  for (const { y, x0, x1 } of spans) for (let x = x0; x < x1; x++) pixels.add(`${x},${y}`);
  return pixels;
}

function distanceToSegment(p: Point, a: Point, b: Point): number {
  const length = (b.x - a.x) ** 2 + (b.y - a.y) ** 2;
  const along = length === 0 ? 0 : ((p.x - a.x) * (b.x - a.x) + (p.y - a.y) * (b.y - a.y)) / length;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(p.x - a.x - t * (b.x - a.x), p.y - a.y - t * (b.y - a.y));
}

/** Even under rounding a pixel centre this near the rim may fall on either side. */
const RIM = 1e-9;

describe("a brush stroke", () => {
  it("covers exactly the pixels whose centre is within its radius of the path", () => {
    const random = chance(1);
    let wrong = 0;
    for (let round = 0; round < 300; round++) {
      const a = { x: random() * 70 - 5, y: random() * 60 - 5 };
      const b = { x: random() * 70 - 5, y: random() * 60 - 5 };
      const radius = 1 + random() * 10;
      const found = covered(strokeSpans(a, b, radius, CLIP));
      for (let y = 0; y < CLIP.y1; y++) {
        for (let x = 0; x < CLIP.x1; x++) {
          const gap = distanceToSegment({ x: x + 0.5, y: y + 0.5 }, a, b) - radius;
          if (Math.abs(gap) > RIM && found.has(`${x},${y}`) !== gap < 0) wrong++;
        }
      }
    }
    expect(wrong).toBe(0);
  });

  it("has one span per row, sorted, inside the clip", () => {
    const spans = strokeSpans({ x: -20, y: 3.2 }, { x: 90, y: 41 }, 6, CLIP);
    const rows = spans.map(({ y }) => y);
    expect(rows).toEqual([...new Set(rows)].sort((p, q) => p - q));
    expect(spans.every(({ x0, x1 }) => x0 >= 0 && x1 <= CLIP.x1 && x0 < x1)).toBe(true);
  });

  it("of one pixel width leaves no gap between samples far apart", () => {
    const line = linePixels({ x: 2.5, y: 3.5 }, { x: 48.5, y: 17.5 });
    for (let index = 1; index < line.length; index++) {
      const [p, q] = [line[index - 1] as Point, line[index] as Point];
      expect(Math.max(Math.abs(p.x - q.x), Math.abs(p.y - q.y))).toBe(1);
    }
    expect(line.at(0)).toEqual({ x: 2, y: 3 });
    expect(line.at(-1)).toEqual({ x: 48, y: 17 });
  });

  it("of one pixel width paints the pixel under the pointer", () => {
    expect(covered(strokeSpans({ x: 7.9, y: 4.1 }, { x: 7.9, y: 4.1 }, 0.5, CLIP))).toEqual(
      new Set(["7,4"]),
    );
  });
});

describe("a polygon", () => {
  it("covers the pixels whose centre it winds around", () => {
    const random = chance(7);
    let wrong = 0;
    for (let round = 0; round < 100; round++) {
      const points = Array.from({ length: 3 + Math.floor(random() * 7) }, () => ({
        x: random() * 60,
        y: random() * 50,
      }));
      const found = covered(polygonSpans(points, CLIP));
      for (let y = 0; y < CLIP.y1; y++) {
        for (let x = 0; x < CLIP.x1; x++) {
          const inside = windingNumber(points, { x: x + 0.5, y: y + 0.5 }) !== 0;
          if (found.has(`${x},${y}`) !== inside) wrong++;
        }
      }
    }
    expect(wrong).toBe(0);
  });

  it("with fewer than three corners is nothing", () => {
    expect(
      polygonSpans(
        [
          { x: 1, y: 1 },
          { x: 9, y: 9 },
        ],
        CLIP,
      ),
    ).toEqual([]);
  });
});

function windingNumber(points: readonly Point[], p: Point): number {
  let angle = 0;
  points.forEach((from, index) => {
    const to = points[(index + 1) % points.length] as Point;
    const cross = (from.x - p.x) * (to.y - p.y) - (from.y - p.y) * (to.x - p.x);
    const dot = (from.x - p.x) * (to.x - p.x) + (from.y - p.y) * (to.y - p.y);
    angle += Math.atan2(cross, dot);
  });
  return Math.round(angle / (2 * Math.PI));
}
