import { describe, expect, it } from "vitest";
import { cellOf, measure, type MaskDocument } from "../../src/core/document";
import { applySteps, invertSteps } from "../../src/core/history";
import { relabelCells } from "../../src/core/paint";
import {
  addedMeta,
  detectorOnly,
  untouched,
  withMasks,
  type Applied,
} from "../../src/core/thresholds";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

const model = picture(
  ["111..222", "111..222", "........"],
  [
    [1, { type: "HEK", source: "model" }],
    [2, { type: "N2a", source: "model" }],
  ],
);
const flatOf = (rows: string[]) => picture(rows).labels.flat();
const apply = (doc: MaskDocument, rows: string[]) =>
  applySteps(doc, withMasks(doc, model, { flat: flatOf(rows), meta: addedMeta(null) }).steps);

describe("masks at other thresholds", () => {
  it("keep label and type of the cell they are like, and add the others", () => {
    const after = apply(model, ["4444.555", "4444.555", "66......"]);
    expect(rowsOf(after)).toEqual(["1111.222", "1111.222", "33......"]);
    expect(cellOf(after, 1)).toMatchObject({ type: "HEK", source: "model" });
    expect(cellOf(after, 3)).toMatchObject({ type: null, source: "" });
  });

  it("drop the cells that are no longer there", () => {
    expect(rowsOf(apply(model, ["444.....", "444.....", "........"]))).toEqual([
      "111.....",
      "111.....",
      "........",
    ]);
  });

  it("leave alone what a person drew, typed or reshaped", () => {
    const drawn = picture(
      ["111..22.", "111..22.", "99......"],
      [
        [1, { type: "N2a", source: "human" }],
        [2, { type: "N2a", source: "model" }],
        [9, { type: null, source: "" }],
      ],
    );
    expect([...untouched(drawn, model)]).toEqual([]);
    const after = apply(drawn, ["44444555", "44444555", "6.......", ""].slice(0, 3));
    expect(rowsOf(after)).toEqual(["111..22.", "111..22.", "99......"]);
  });

  it("leave alone what only the detector sees, and draw over none of it", () => {
    const said = { score: 1, probabilities: {}, uncertainty: 0, terms: {} };
    const fixed = detectorOnly(
      new Map([
        [1, { ...said, seenBy: "both" }],
        [2, { ...said, seenBy: "detector" }],
      ]),
    );
    const at = (rows: string[]) => {
      const { steps } = withMasks(model, model, {
        flat: flatOf(rows),
        meta: addedMeta(null),
        fixed,
      });
      return rowsOf(applySteps(model, steps));
    };
    expect(at(["........", "........", "........"])).toEqual([".....222", ".....222", "........"]);
    expect(at(["4444..55", "4444..55", "......55"])).toEqual(["1111.222", "1111.222", "........"]);
  });

  it("do not bring back what a person deleted", () => {
    const without = picture(
      ["111.....", "111.....", "........"],
      [[1, { type: "HEK", source: "model" }]],
    );
    expect(rowsOf(apply(without, ["444..555", "444..555", "66......"]))).toEqual([
      "111.....",
      "111.....",
      "22......",
    ]);
  });

  it("take the free part of a mask that lies mostly beside corrected cells", () => {
    const drawn = picture(
      ["1.......", "........", "........"],
      [[1, { type: "HEK", source: "human" }]],
    );
    expect(rowsOf(apply(drawn, ["5555....", "........", "........"]))).toEqual([
      "1222....",
      "........",
      "........",
    ]);
  });

  describe("applied once more", () => {
    const NEW = ["44444...", "44444...", "66......"];

    function applied(doc: MaskDocument, rows: string[]): Applied {
      const masks = { flat: flatOf(rows), meta: addedMeta(null) };
      const { steps, placed, removed } = withMasks(doc, model, masks);
      const values = { cellprobThreshold: -1, flowThreshold: 0.8, minSize: 15 };
      return { values, before: doc, after: applySteps(doc, steps), placed, removed };
    }
    function again(doc: MaskDocument, rows: string[], before: Applied): string[] {
      const masks = { flat: flatOf(rows), meta: addedMeta(null) };
      const { steps } = withMasks(doc, model, masks, [before]);
      return rowsOf(applySteps(doc, steps));
    }

    it("replace what they put there themselves, and bring back what they removed", () => {
      const first = applied(model, NEW);
      expect(rowsOf(first.after)).toEqual(["11111...", "11111...", "33......"]);
      const back = again(first.after, ["444..555", "444..555", "........"], first);
      expect(back).toEqual(["111..222", "111..222", "........"]);
    });

    it("do not bring back what a person deleted before or since", () => {
      const rows = ["444..555", "444..555", "66......"];
      const drawn = applySteps(model, relabelCells(model, [2], 0));
      const first = applied(drawn, rows);
      expect(rowsOf(first.after)).toEqual(["111.....", "111.....", "33......"]);
      const since = applySteps(first.after, relabelCells(first.after, [3], 0));
      expect(again(since, rows, first)).toEqual(["111.....", "111.....", "........"]);
    });

    it("leave alone what a person drew before", () => {
      const drawn = picture(["111..222", "111..222", "....7777"], [...model.meta.entries()]);
      const first = applied(drawn, ["444..555", "444..555", "........"]);
      expect(again(first.after, ["........", "........", "........"], first)).toEqual([
        "........",
        "........",
        "....7777",
      ]);
    });
  });

  it("are undone exactly, and areas stay those of the pixels, whatever was drawn before", () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = chance(seed);
      const predicted = gridOfCells(64, 4);
      let doc = predicted;
      for (let stroke = 0; stroke < 3; stroke++) doc = randomStroke(doc, random).apply(doc);
      let masks = gridOfCells(64, 3 + (seed % 4));
      masks = randomStroke(masks, random).apply(masks);
      const replaced = untouched(doc, predicted);
      const { steps } = withMasks(doc, predicted, {
        flat: masks.labels.flat(),
        meta: addedMeta("HEK"),
      });
      const after = applySteps(doc, steps);
      const flat = after.labels.flat();
      expect([...after.geometry.entries()]).toEqual([...measure(flat, 64).entries()]);
      const kept = doc.labels.flat().every((label, at) => {
        return label === 0 || replaced.has(label) || flat[at] === label;
      });
      expect(kept).toBe(true);
      const back = applySteps(after, invertSteps(steps));
      expect(back.labels.flat()).toEqual(doc.labels.flat());
    }
  });
});
