import { describe, expect, it } from "vitest";
import {
  cornerOf,
  GAP,
  gridOf,
  inView,
  moved,
  scrolledTo,
  tileAt,
  touched,
} from "../../src/ui/gallery/grid";

const TILE = 94;
const PITCH = TILE + GAP; // 100
const grid = gridOf(25, 4 * PITCH, TILE); // four columns, seven rows, the last of one tile

describe("the grid", () => {
  it("takes as many columns as fit and is as high as its rows", () => {
    expect(grid.columns).toBe(4);
    expect(grid.height).toBe(7 * PITCH - GAP);
    expect(gridOf(0, 400, TILE).height).toBe(0);
    expect(gridOf(3, 10, TILE).columns).toBe(1);
    expect(gridOf(100, 3 * PITCH - GAP, TILE).columns).toBe(3);
  });

  it("has a screenful of a hundred thousand tiles in the page", () => {
    const long = gridOf(100_000, 1200, TILE);
    for (const top of [0, 12_345, long.height - 800]) {
      const { from, to } = inView(long, top, 800);
      expect(to - from).toBeLessThanOrEqual(14 * long.columns);
      const shown = Array.from({ length: long.count }, (_, at) => at).filter((at) => {
        const { y } = cornerOf(long, at);
        return y + TILE > top && y < top + 800;
      });
      expect(from).toBeLessThanOrEqual(shown[0] as number);
      expect(to).toBeGreaterThan(shown.at(-1) as number);
    }
  });

  it("begins and ends with the list", () => {
    expect(inView(grid, -500, 300)).toEqual({ from: 0, to: 0 });
    expect(inView(grid, 0, 10_000)).toEqual({ from: 0, to: 25 });
    expect(inView(grid, 99_999, 300)).toEqual({ from: 25, to: 25 });
    expect(inView(gridOf(0, 400, TILE), 0, 300)).toEqual({ from: 0, to: 0 });
  });

  it("finds every tile where it puts it, and none in the gaps", () => {
    for (let at = 0; at < grid.count; at++) {
      const { x, y } = cornerOf(grid, at);
      expect(tileAt(grid, x + 1, y + 1)).toBe(at);
      expect(tileAt(grid, x + TILE - 1, y + TILE - 1)).toBe(at);
      expect(tileAt(grid, x + TILE + 1, y + 1)).toBeNull();
      expect(tileAt(grid, x + 1, y + TILE + 1)).toBeNull();
    }
    expect(tileAt(grid, 150, 6 * PITCH + 5)).toBeNull();
  });
});

describe("a rubber band", () => {
  it("takes all tiles that it touches, as looking at each one tells", () => {
    for (const band of [
      { x0: 10, y0: 10, x1: 20, y1: 20 },
      { x0: 95, y0: 30, x1: 205, y1: 330 },
      { x0: -50, y0: -50, x1: 5000, y1: 5000 },
      { x0: 96, y0: 0, x1: 99, y1: 50 },
      { x0: 0, y0: 599, x1: 400, y1: 650 },
    ]) {
      const expected = Array.from({ length: grid.count }, (_, at) => at).filter((at) => {
        const { x, y } = cornerOf(grid, at);
        return x <= band.x1 && x + TILE > band.x0 && y <= band.y1 && y + TILE > band.y0;
      });
      expect(touched(grid, band)).toEqual(expected);
    }
  });
});

describe("arrow keys", () => {
  const go = (at: number, key: string): number | null => moved(grid, at, key, 3);

  it("go to the neighbours and stop at the ends", () => {
    expect(go(5, "ArrowLeft")).toBe(4);
    expect(go(5, "ArrowRight")).toBe(6);
    expect(go(5, "ArrowUp")).toBe(1);
    expect(go(5, "ArrowDown")).toBe(9);
    expect(go(0, "ArrowLeft")).toBe(0);
    expect(go(2, "ArrowUp")).toBe(2);
    expect(go(24, "ArrowRight")).toBe(24);
    expect(go(24, "ArrowDown")).toBe(24);
  });

  it("reach the last tile from the row above it, where none is below", () => {
    expect(go(22, "ArrowDown")).toBe(24);
  });

  it("go a screen or all the way", () => {
    expect(go(1, "PageDown")).toBe(13);
    expect(go(20, "PageDown")).toBe(24);
    expect(go(13, "PageUp")).toBe(1);
    expect(go(3, "PageUp")).toBe(0);
    expect(go(13, "Home")).toBe(0);
    expect(go(13, "End")).toBe(24);
  });

  it("are no other keys, and go nowhere in an empty list", () => {
    expect(go(1, "a")).toBeNull();
    expect(go(1, "constructor")).toBeNull();
    expect(moved(gridOf(0, 400, TILE), 0, "ArrowRight", 3)).toBeNull();
  });

  it("scroll no further than they have to", () => {
    expect(scrolledTo(grid, 0, 250, 300)).toBe(0);
    expect(scrolledTo(grid, 13, 250, 300)).toBe(250);
    expect(scrolledTo(grid, 24, 250, 300)).toBe(6 * PITCH + TILE - 300);
  });
});
