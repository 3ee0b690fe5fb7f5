import { describe, expect, it } from "vitest";
import { cellOf, cellsOf, type MaskDocument } from "../../src/core/document";
import { applySteps } from "../../src/core/history";
import type { Division } from "../../src/core/pieces";
import { pieceCount } from "../../src/core/regions";
import { splitByLine, splitBySeeds } from "../../src/core/split";
import { chance, gridOfCells, picture, rowsOf } from "./drawing";

const after = (doc: MaskDocument, { steps }: Division): MaskDocument => applySteps(doc, steps);

describe("splitting by a line", () => {
  it("leaves the larger piece its label and gives the other a new one of the same type", () => {
    const doc = picture(["1111111", "1111111", "......."], [[1, { type: "HEK", source: "model" }]]);
    const division = splitByLine(doc, [
      { x: 2.5, y: -1 },
      { x: 2.5, y: 4 },
    ]);
    const split = after(doc, division);
    expect(rowsOf(split)).toEqual(["2221111", "2221111", "......."]);
    expect([...division.labels].sort()).toEqual([1, 2]);
    expect(cellOf(split, 2)).toMatchObject({ type: "HEK", source: "model" });
  });

  it("cuts nothing where the line does not go all the way, or only grazes", () => {
    const doc = gridOfCells(60, 1);
    const halfway = [
      { x: 30, y: -5 },
      { x: 30, y: 30 },
    ];
    const grazing = [
      { x: 2, y: 4.5 },
      { x: 58, y: 4.5 },
    ];
    expect(splitByLine(doc, halfway).steps).toEqual([]);
    expect(splitByLine(doc, grazing).steps).toEqual([]);
    expect(splitByLine(doc, [{ x: 5, y: 5 }]).steps).toEqual([]);
  });

  it("cuts along a diagonal without a gap to slip through", () => {
    const doc = picture(["1111", "1111", "1111", "1111"]);
    const split = after(
      doc,
      splitByLine(doc, [
        { x: -0.5, y: -0.5 },
        { x: 4.5, y: 4.5 },
      ]),
    );
    expect([...cellsOf(split)]).toHaveLength(2);
  });

  it("leaves a piece that lay apart with its cell", () => {
    const doc = picture(["11111..1"]);
    const split = after(
      doc,
      splitByLine(doc, [
        { x: 1.5, y: -1 },
        { x: 1.5, y: 2 },
      ]),
    );
    expect(rowsOf(split)).toEqual(["22111..1"]);
  });

  it("loses no pixel, changes no other cell and makes connected pieces, whatever the line", () => {
    const random = chance(5);
    let cuts = 0;
    for (let round = 0; round < 200; round++) {
      const doc = gridOfCells(80, 3);
      const line = Array.from({ length: 2 + Math.floor(random() * 4) }, () => ({
        x: random() * 100 - 10,
        y: random() * 100 - 10,
      }));
      const division = splitByLine(doc, line);
      const split = after(doc, division);
      const [before, now] = [doc.labels.flat(), split.labels.flat()];
      const parents = new Map<number, number>();
      let wrong = 0;
      now.forEach((label, at) => {
        const parent = before[at] as number;
        if ((label === 0) !== (parent === 0)) wrong++;
        if (label === 0) return;
        if ((parents.get(label) ?? parent) !== parent) wrong++;
        parents.set(label, parent);
      });
      expect(wrong).toBe(0);
      for (const [label, parent] of parents) {
        expect(pieceCount(split, label)).toBe(1);
        expect(split.meta.get(label)).toEqual(doc.meta.get(parent));
        // The largest keeps the name.
        const area = split.geometry.get(parent)?.area ?? 0;
        expect(split.geometry.get(label)?.area).toBeLessThanOrEqual(area);
      }
      cuts += parents.size - 9;
    }
    expect(cuts).toBeGreaterThan(200);
  });
});

describe("splitting by seeds", () => {
  const blob = ["1111111", "1111111", "1111111"];
  const bright = (row: number[]) => ({
    width: 7,
    height: 3,
    values: Uint16Array.from([...row, ...row, ...row]),
  });
  const ends = [
    { x: 0.5, y: 1.5 },
    { x: 6.5, y: 1.5 },
  ];

  it("finds the dark valley between two bright cells", () => {
    const wide = picture(Array.from({ length: 9 }, () => "1".repeat(40)));
    const values = Uint16Array.from({ length: 360 }, (_, at) => 100 + Math.abs((at % 40) - 26) * 9);
    const seeds = [
      { x: 3, y: 4 },
      { x: 37, y: 4 },
    ];
    const split = after(wide, splitBySeeds(wide, seeds, { width: 40, height: 9, values }));
    for (const row of rowsOf(split)) expect(row).toMatch(/^1{25,27}2{13,15}$/);
  });

  it("goes by the shape where there is no cytoplasm or it is flat", () => {
    const dumbbell = picture([
      "11111....11111",
      "11111....11111",
      "11111111111111",
      "11111....11111",
      "11111....11111",
    ]);
    const seeds = [
      { x: 2, y: 2 },
      { x: 12, y: 3 },
    ];
    const flat = { width: 14, height: 5, values: new Uint16Array(70).fill(9) };
    for (const cytoplasm of [null, flat]) {
      const split = after(dumbbell, splitBySeeds(dumbbell, seeds, cytoplasm));
      expect(split.labels.at(0, 0)).not.toBe(split.labels.at(13, 0));
      expect(split.labels.at(4, 4)).toBe(split.labels.at(0, 0));
      expect(split.labels.at(9, 0)).toBe(split.labels.at(13, 0));
    }
  });

  it("divides each cell with two seeds or more and no other", () => {
    const doc = picture(["111111111.222222222", "111111111.222222222"]);
    const seeds = [
      { x: 0, y: 0 },
      { x: 8, y: 1 },
      { x: 12, y: 0 },
      { x: 9, y: 0 },
    ];
    const split = after(doc, splitBySeeds(doc, seeds, null));
    expect([...cellsOf(split)].map(({ label }) => label)).toEqual([1, 2, 3]);
    expect(cellOf(split, 2)?.area).toBe(18);
  });

  it("needs two seeds on different pixels", () => {
    const doc = picture(blob);
    expect(splitBySeeds(doc, ends.slice(1), null).steps).toEqual([]);
    expect(splitBySeeds(doc, [ends[0], ends[0]] as never, null).steps).toEqual([]);
    expect(splitBySeeds(doc, ends, bright([9, 9, 9, 1, 9, 9, 9])).labels.size).toBe(2);
  });

  it("loses no pixel and keeps the type, whatever the seeds", () => {
    const random = chance(9);
    for (let round = 0; round < 100; round++) {
      const doc = gridOfCells(80, 2);
      const values = Uint16Array.from({ length: 6400 }, () => Math.floor(random() * 4000));
      const seeds = Array.from({ length: 8 }, () => ({ x: random() * 80, y: random() * 80 }));
      const split = after(doc, splitBySeeds(doc, seeds, { width: 80, height: 80, values }));
      const [before, now] = [doc.labels.flat(), split.labels.flat()];
      expect(now.every((label, at) => (label === 0) === (before[at] === 0))).toBe(true);
      const wrong = now.filter(
        (label, at) => split.meta.get(label) !== doc.meta.get(before[at] as number),
      );
      expect(wrong).toHaveLength(0);
    }
  });
});
