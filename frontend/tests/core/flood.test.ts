import { describe, expect, it } from "vitest";
import { bestCut, fieldAround, otsu, reachOf, regionAt, type Field } from "../../src/core/flood";
import type { Point, Span } from "../../src/core/geometry";
import { LabelImage } from "../../src/core/labelImage";
import type { Intensity } from "../../src/core/landscape";
import { anyLabel, background } from "../../src/core/paint";
import { chance, gridOfCells } from "./drawing";

const SIZE = 80;

/** Disks of some brightness on a noisy ground of 100. */
function scene(disks: (Point & { radius: number; value: number })[], noise = 10): Intensity {
  const random = chance(3);
  const values = Uint16Array.from({ length: SIZE * SIZE }, (_, at) => {
    const disk = disks.find(
      ({ x, y, radius }) => Math.hypot((at % SIZE) - x, Math.floor(at / SIZE) - y) <= radius,
    );
    return (disk?.value ?? 100) + Math.floor(random() * noise);
  });
  return { width: SIZE, height: SIZE, values };
}

const areaOf = (spans: Span[]): number => spans.reduce((sum, { x0, x1 }) => sum + x1 - x0, 0);
const blank = LabelImage.blank(SIZE, SIZE);
const at = { x: 40.5, y: 40.5 };
const cell = { x: 40, y: 40, radius: 10, value: 900 };
const DISK = Math.PI * 100;

function field(
  intensity: Intensity,
  labels = blank,
  rule = background,
  nuclei: Intensity | null = null,
): Field {
  const found = fieldAround(labels, intensity, { at, reach: 30, rule, nuclei });
  if (found === null) throw new Error("no field");
  return found;
}

describe("Otsu's threshold", () => {
  it("parts the counts where the variance between the classes is largest", () => {
    const random = chance(12);
    for (let round = 0; round < 200; round++) {
      const counts = Float64Array.from({ length: 12 }, () => Math.floor(random() * 6));
      const variance = (cut: number): number => {
        const values = [...counts].flatMap((count, bin) => new Array<number>(count).fill(bin));
        const [low, high] = [values.filter((v) => v < cut), values.filter((v) => v >= cut)];
        const mean = (part: number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
        if (low.length === 0 || high.length === 0) return -1;
        return low.length * high.length * (mean(high) - mean(low)) ** 2;
      };
      const best = Math.max(...Array.from({ length: 11 }, (_, index) => variance(index + 1)));
      if (best >= 0) expect(variance(bestCut(counts))).toBeCloseTo(best, 6);
    }
  });

  it("lies between two groups of values, and is the value of equal ones", () => {
    const threshold = otsu(Float32Array.from([1, 2, 1, 2, 90, 91]));
    expect(threshold).toBeGreaterThan(2);
    expect(threshold).toBeLessThanOrEqual(90);
    expect(otsu(new Float32Array(9).fill(7))).toBe(7);
  });
});

describe("the wand's region", () => {
  it("is the bright cell around the click", () => {
    const area = areaOf(regionAt(field(scene([cell])), 0));
    expect(Math.abs(area - DISK) / DISK).toBeLessThan(0.12);
  });

  it("is a dim cell too, beside a much brighter one", () => {
    const dim = { ...cell, value: 300 };
    const bright = { x: 60, y: 40, radius: 7, value: 5000 };
    const area = areaOf(regionAt(field(scene([dim, bright])), 0));
    expect(Math.abs(area - DISK) / DISK).toBeLessThan(0.2);
  });

  it("has its holes filled", () => {
    const nucleus = { x: 40, y: 45, radius: 3, value: 110 };
    const area = areaOf(regionAt(field(scene([nucleus, cell])), 0));
    expect(Math.abs(area - DISK) / DISK).toBeLessThan(0.12);
  });

  it("grows with the tolerance and never shrinks", () => {
    const found = field(scene([cell, { x: 58, y: 40, radius: 9, value: 500 }], 60));
    const areas = [-1, -0.5, -0.2, 0, 0.2, 0.5, 1].map((by) => areaOf(regionAt(found, by)));
    expect(areas).toEqual([...areas].sort((a, b) => a - b));
    expect(areas[0]).toBeLessThan(areas.at(-1) as number);
  });

  it("is what hangs together with the click at or above the threshold, found by brute force", () => {
    for (let round = 0; round < 20; round++) {
      const random = chance(70 + round);
      const values = Uint16Array.from({ length: SIZE * SIZE }, () => Math.floor(random() * 900));
      const found = field({ width: SIZE, height: SIZE, values });
      const threshold = found.bounds.usual;
      const { width } = found.free;
      const reached = new Set([found.seed]);
      for (let before = 0; before < reached.size;) {
        before = reached.size;
        for (const index of [...reached]) {
          const beside = [index - width, index + width];
          if (index % width > 0) beside.push(index - 1);
          if (index % width < width - 1) beside.push(index + 1);
          for (const next of beside) {
            const bright = (found.values[next] ?? -1) >= threshold;
            if (bright && found.free.values[next] === 1) reached.add(next);
          }
        }
      }
      const spans = regionAt(found, 0);
      const has = (x: number, y: number): boolean =>
        spans.some((span) => span.y === y && x >= span.x0 && x < span.x1);
      for (const index of reached) {
        const x = found.box.x0 + (index % width);
        expect(has(x, found.box.y0 + Math.floor(index / width))).toBe(true);
      }
      // What is there beside lies in a hole: all around it is region.
      for (const { y, x0, x1 } of spans) {
        for (let x = x0; x < x1; x++) {
          if (reached.has((y - found.box.y0) * width + x - found.box.x0)) continue;
          expect([has(x - 1, y), has(x + 1, y), has(x, y - 1), has(x, y + 1)]).not.toContain(false);
        }
      }
    }
  });

  it("stays out of other cells, and in overwrite mode does not", () => {
    const flat = new Uint32Array(SIZE * SIZE);
    flat.forEach((_, index) => {
      if (index % SIZE >= 45) flat[index] = 7;
    });
    const labels = LabelImage.from(flat, SIZE, SIZE);
    const protectedSpans = regionAt(field(scene([cell]), labels), 0);
    expect(protectedSpans.every(({ x1 }) => x1 <= 45)).toBe(true);
    expect(areaOf(regionAt(field(scene([cell]), labels, anyLabel), 0))).toBeGreaterThan(
      areaOf(protectedSpans),
    );
    const on = { at: { x: 50, y: 40 }, reach: 20, rule: background, nuclei: null };
    expect(fieldAround(labels, scene([cell]), on)).toBeNull();
  });

  it("does not leak over the whole surroundings", () => {
    // A cell whose border is blurred away on one side.
    const values = Uint16Array.from(scene([cell]).values, (value, index) =>
      index % SIZE > 45 ? 600 : value,
    );
    const found = field({ width: SIZE, height: SIZE, values });
    expect(areaOf(regionAt(found, 0))).toBeLessThan(0.5 * Math.PI * 30 * 30);
  });

  it("ends between two nuclei of cells that touch", () => {
    // Two disks of one brightness that overlap widely: only their nuclei tell them apart.
    const both = scene([cell, { ...cell, x: 55 }]);
    const nuclei = scene([
      { x: 40, y: 40, radius: 4, value: 700 },
      { x: 55, y: 40, radius: 4, value: 500 },
    ]);
    const together = areaOf(regionAt(field(both), 0));
    expect(together).toBeGreaterThan(1.6 * DISK);
    const spans = regionAt(field(both, blank, background, nuclei), 0);
    expect(areaOf(spans)).toBeGreaterThan(0.8 * DISK);
    expect(areaOf(spans)).toBeLessThan(1.25 * DISK);
    expect(Math.max(...spans.map(({ x1 }) => x1))).toBeLessThan(53);
  });

  it("is whole where the nucleus channel shows one nucleus, or noise only", () => {
    const alone = areaOf(regionAt(field(scene([cell])), 0));
    const one = scene([{ x: 42, y: 40, radius: 4, value: 700 }], 60);
    const noise = scene([], 200);
    for (const nuclei of [one, noise]) {
      const area = areaOf(regionAt(field(scene([cell]), blank, background, nuclei), 0));
      expect(area).toBeGreaterThan(0.9 * alone);
    }
  });

  it("is none outside the image", () => {
    const outside = { at: { x: -1, y: 4 }, reach: 20, rule: background, nuclei: null };
    expect(fieldAround(blank, scene([cell]), outside)).toBeNull();
  });
});

it("the wand reaches one and a half diameters of the usual cell, with nuclei further", () => {
  expect(reachOf(gridOfCells(120, 3), false)).toBeCloseTo(1.5 * 36, -1);
  expect(reachOf(gridOfCells(120, 3), true)).toBeCloseTo(2.25 * 36, -1);
});
