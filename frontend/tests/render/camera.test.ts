import { expect, it } from "vitest";
import {
  clamped,
  filled,
  fit,
  pinched,
  toImage,
  toScreen,
  uncovered,
  zoomed,
} from "../../src/render/camera";
import { pagesOf } from "../../src/render/pages";

const view = { width: 800, height: 600 };

it("zooming keeps the point under the cursor in place", () => {
  const camera = fit({ x0: 0, y0: 0, x1: 512, y1: 512 }, view);
  const cursor = { x: 613, y: 88 };
  const before = toImage(camera, view, cursor);
  const after = toImage(zoomed(camera, view, cursor, 3.7), view, cursor);
  expect(after.x).toBeCloseTo(before.x, 9);
  expect(after.y).toBeCloseTo(before.y, 9);
});

it("screen and image coordinates are each other's inverse", () => {
  const camera = { centre: { x: 31, y: 77 }, scale: 2.5 };
  const at = toImage(camera, view, toScreen(camera, view, { x: 12.25, y: 90.5 }));
  expect(at).toEqual({ x: 12.25, y: 90.5 });
});

it("a pinch keeps what is between the fingers between them", () => {
  const camera = { centre: { x: 100, y: 100 }, scale: 1 };
  const before = [
    { x: 300, y: 300 },
    { x: 500, y: 300 },
  ] as const;
  const after = [
    { x: 200, y: 350 },
    { x: 600, y: 350 },
  ] as const;
  const next = pinched(camera, view, before, after);
  expect(next.scale).toBeCloseTo(2);
  expect(toImage(next, view, { x: 400, y: 350 })).toEqual(
    toImage(camera, view, { x: 400, y: 300 }),
  );
});

it("the view never loses the image or zooms out of sense", () => {
  const lost = clamped({ centre: { x: -900, y: 9999 }, scale: 1e-6 }, view, {
    width: 64,
    height: 64,
  });
  expect(lost.centre).toEqual({ x: 0, y: 64 });
  expect(lost.scale).toBeGreaterThan(0.1);
});

it("beside an image larger than the view nothing is seen, a smaller one lies in the middle", () => {
  const image = { width: 1000, height: 400 };
  expect(filled({ centre: { x: 990, y: 5 }, scale: 2 }, view, image)).toEqual({
    centre: { x: 800, y: 150 },
    scale: 2,
  });
  expect(filled({ centre: { x: 0, y: 0 }, scale: 1 }, view, image).centre).toEqual({
    x: 400,
    y: 200,
  });
});

it("a box moves out from under what lies over the view, and no further", () => {
  const camera = { centre: { x: 400, y: 300 }, scale: 1 };
  const covers = { top: 60, bottom: 100 };
  const moved = (y0: number, y1: number): number => {
    const box = { x0: 0, y0, x1: 50, y1 };
    const next = uncovered(camera, view, box, covers);
    return toScreen(next, view, { x: 0, y: y0 }).y - y0;
  };
  expect([moved(10, 60), moved(200, 260), moved(520, 580)]).toEqual([50, 0, -80]);
  expect(moved(10, 590)).toBe(50);
});

it("pages cover every pixel of a large image exactly once and overlap where they meet", () => {
  const pages = pagesOf(1000, 700, 256);
  const area = pages.reduce((sum, { inside: b }) => sum + (b.x1 - b.x0) * (b.y1 - b.y0), 0);
  expect(area).toBe(1000 * 700);
  for (const { inside, held } of pages) {
    expect(held.x1 - held.x0).toBeLessThanOrEqual(256);
    expect(held.x0).toBe(Math.max(0, inside.x0 - 8));
  }
  expect(pagesOf(256, 200, 256)).toHaveLength(1);
});
