import { describe, expect, it } from "vitest";
import { cellsOf } from "../../src/core/document";
import { applySteps } from "../../src/core/history";
import { anyLabel, background } from "../../src/core/paint";
import { connectedPieces, divide, freePiece, withoutStrays } from "../../src/core/pieces";
import { fragmented, pieceCount } from "../../src/core/regions";
import { repaint, spansOf } from "../../src/core/windows";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

const LABELS = [1, 2, 3, 4, 5, 6, 7];

function battered(seed: number) {
  const random = chance(seed);
  let doc = gridOfCells(50, 2);
  for (let stroke = 0; stroke < 8; stroke++) doc = randomStroke(doc, random).apply(doc);
  return doc;
}

describe("a cell in pieces", () => {
  it("loses all but its largest piece; the first of equals stays", () => {
    const doc = picture(["11..1", "....1", "22..2", "1...1"]);
    const step = withoutStrays(doc, 1);
    expect(step === null ? [] : rowsOf(step.apply(doc))).toEqual([
      "11...",
      ".....",
      "22..2",
      ".....",
    ]);
    expect(withoutStrays(picture(["1.2"]), 1)).toBeNull();
    expect(withoutStrays(doc, 9)).toBeNull();
  });

  it("falls apart into cells of its type, the largest under the old label", () => {
    const doc = picture(["1..11", "1...1", "....."], [[1, { type: "HEK", source: "human" }]]);
    const partition = connectedPieces(doc, 1);
    const { steps, labels } = divide(doc, partition === null ? [] : [partition]);
    const apart = applySteps(doc, steps);
    expect(rowsOf(apart)).toEqual(["2..11", "2...1", "....."]);
    expect([...labels].sort()).toEqual([1, 2]);
    expect([...cellsOf(apart)].map(({ type }) => type)).toEqual(["HEK", "HEK"]);
  });

  it("is whole after either, whatever happened to it before", () => {
    for (let seed = 0; seed < 60; seed++) {
      const doc = battered(seed);
      const dropped = LABELS.reduce(
        (now, label) => withoutStrays(now, label)?.apply(now) ?? now,
        doc,
      );
      const partitions = LABELS.map((label) => connectedPieces(doc, label));
      const { steps } = divide(
        doc,
        partitions.filter((partition) => partition !== null),
      );
      const separated = applySteps(doc, steps);
      for (const now of [dropped, separated]) {
        expect(fragmented(now.labels.flat(), 50).size).toBe(0);
        for (const { label } of cellsOf(now)) expect(pieceCount(now, label)).toBe(1);
      }
      expect(separated.labels.flat().filter((label) => label !== 0)).toHaveLength(
        doc.labels.flat().filter((label) => label !== 0).length,
      );
    }
  });
});

describe("the free piece of some spans", () => {
  const { labels } = picture(["...1...", "...1...", "......."]);
  const row = [{ y: 0, x0: -3, x1: 99 }];

  it("is the one that holds the point, else the largest, inside the image", () => {
    const left = freePiece(labels, row, { rule: background, at: { x: 1.5, y: 0.5 } });
    expect(left).toEqual([{ y: 0, x0: 0, x1: 3 }]);
    const wider = [...row, { y: 1, x0: 4, x1: 6 }, { y: 7, x0: 0, x1: 4 }];
    const largest = freePiece(labels, wider, { rule: background, at: { x: 3, y: 0 } });
    expect(largest).toEqual([
      { y: 0, x0: 4, x1: 7 },
      { y: 1, x0: 4, x1: 6 },
    ]);
    expect(freePiece(labels, row, { rule: anyLabel, at: null })).toEqual([{ y: 0, x0: 0, x1: 7 }]);
  });

  it("is nothing where nothing is free", () => {
    expect(freePiece(labels, [], { rule: background, at: null })).toEqual([]);
    const taken = [{ y: 0, x0: 3, x1: 4 }];
    expect(freePiece(labels, taken, { rule: background, at: null })).toEqual([]);
  });
});

it("a box repainted becomes what was asked, and back", () => {
  const random = chance(77);
  for (let round = 0; round < 60; round++) {
    const doc = battered(round);
    const [x0, y0] = [Math.floor(random() * 40), Math.floor(random() * 40)];
    const box = {
      x0,
      y0,
      x1: x0 + 1 + Math.floor(random() * 9),
      y1: y0 + 1 + Math.floor(random() * 9),
    };
    const after = doc.labels
      .read(box)
      .map((label) => (random() < 0.5 ? label : Math.floor(random() * 9)));
    const step = repaint(doc.labels, box, after);
    expect(step.apply(doc).labels.read(box)).toEqual(after);
    expect(step.invert().apply(step.apply(doc)).labels.equals(doc.labels)).toBe(true);
  }
});

it("the spans of a label are its pixels in the box", () => {
  const { labels } = picture(["1.11", "2111"]);
  expect(spansOf(labels, { x0: 1, y0: 0, x1: 4, y1: 2 }, 1)).toEqual([
    { y: 0, x0: 2, x1: 4 },
    { y: 1, x0: 1, x1: 4 },
  ]);
});
