import { describe, expect, it } from "vitest";
import type { MaskDocument } from "../../src/core/document";
import { applySteps } from "../../src/core/history";
import { growCells, shrinkCells } from "../../src/core/morphology";
import type { Mode } from "../../src/core/paint";
import { chance, picture, rowsOf } from "./drawing";

const BESIDE = [
  [0, -1],
  [-1, 0],
  [1, 0],
  [0, 1],
] as const;

function randomPicture(seed: number): MaskDocument {
  const random = chance(seed);
  const rows = Array.from({ length: 9 }, () =>
    Array.from({ length: 11 }, () =>
      random() < 0.55 ? "." : String(1 + Math.floor(random() * 4)),
    ).join(""),
  );
  return picture(rows);
}

/** Pixel by pixel from the definition. */
function grownByHand(doc: MaskDocument, growing: Set<number>, mode: Mode): number[] {
  const { width, height } = doc.labels;
  return [...doc.labels.flat()].map((label, at) => {
    const takes = label === 0 || (mode === "overwrite" && !growing.has(label));
    if (!takes) return label;
    const [x, y] = [at % width, Math.floor(at / width)];
    const counts = [...growing].map((rival) => ({
      rival,
      count: BESIDE.filter(([dx, dy]) => doc.labels.at(x + dx, y + dy) === rival).length,
    }));
    counts.sort((a, b) => b.count - a.count || a.rival - b.rival);
    expect(height).toBeGreaterThan(y);
    return (counts[0]?.count ?? 0) > 0 ? (counts[0]?.rival ?? 0) : label;
  });
}

function shrunkByHand(doc: MaskDocument, shrinking: Set<number>): number[] {
  const { width, height } = doc.labels;
  return [...doc.labels.flat()].map((label, at) => {
    if (!shrinking.has(label)) return label;
    const [x, y] = [at % width, Math.floor(at / width)];
    const ends = BESIDE.some(([dx, dy]) => {
      const inside = x + dx >= 0 && y + dy >= 0 && x + dx < width && y + dy < height;
      return inside && doc.labels.at(x + dx, y + dy) !== label;
    });
    return ends ? 0 : label;
  });
}

describe("growing", () => {
  it("is what the definition says, in both modes, in any order of the cells", () => {
    for (let seed = 0; seed < 150; seed++) {
      const doc = randomPicture(seed);
      const growing = new Set([1, 2, 3].slice(seed % 3));
      for (const mode of ["protect", "overwrite"] as const) {
        const expected = grownByHand(doc, growing, mode);
        const steps = growCells(doc, growing, mode);
        expect([...applySteps(doc, steps).labels.flat()]).toEqual(expected);
        const backwards = growCells(doc, new Set([...growing].reverse()), mode);
        expect([...applySteps(doc, backwards).labels.flat()]).toEqual(expected);
      }
    }
  });

  it("in protect mode takes background only", () => {
    const doc = picture([".....", ".1.2.", "....."]);
    expect(rowsOf(applySteps(doc, growCells(doc, new Set([1]), "protect")))).toEqual([
      ".1...",
      "1112.",
      ".1...",
    ]);
  });
});

describe("shrinking", () => {
  it("is what the definition says", () => {
    for (let seed = 0; seed < 150; seed++) {
      const doc = randomPicture(500 + seed);
      const shrinking = new Set([1, 2, 3].slice(seed % 3));
      const steps = shrinkCells(doc, shrinking);
      expect([...applySteps(doc, steps).labels.flat()]).toEqual(shrunkByHand(doc, shrinking));
    }
  });

  it("does not pull a cell back from the image's border", () => {
    const doc = picture(["1111.", "1111.", "1111."]);
    expect(rowsOf(applySteps(doc, shrinkCells(doc, new Set([1]))))).toEqual([
      "111..",
      "111..",
      "111..",
    ]);
  });
});
