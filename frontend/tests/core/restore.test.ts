import { describe, expect, it } from "vitest";
import { cellOf, type MaskDocument } from "../../src/core/document";
import { applySteps } from "../../src/core/history";
import { asModelled } from "../../src/core/restore";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

const model = picture(
  ["11111.22", "11111.22", "......22"],
  [[1, { type: "HEK", source: "model" }]],
);
const back = (doc: MaskDocument, cells: number[], mode: "protect" | "overwrite" = "protect") =>
  applySteps(doc, asModelled(doc, model, cells, mode));

describe("the model's version of a cell", () => {
  it("is the instance it overlaps most, under the cell's own label", () => {
    const doc = picture(["..777...", ".7777777", ".7......"]);
    expect(rowsOf(back(doc, [7]))).toEqual(["77777...", "77777...", "........"]);
  });

  it("spares other cells in protect mode and takes from them in overwrite mode", () => {
    const doc = picture(["7..99...", "77.99...", "........"]);
    expect(rowsOf(back(doc, [7]))).toEqual(["77799...", "77799...", "........"]);
    expect(rowsOf(back(doc, [7], "overwrite"))).toEqual(["77777...", "77777...", "........"]);
  });

  it("gives its type only to a cell without one", () => {
    const rows = ["77......", "........", "........"];
    expect(cellOf(back(picture(rows), [7]), 7)).toMatchObject({ type: "HEK", source: "model" });
    const typed = picture(rows, [[7, { type: "N2a", source: "human" }]]);
    expect(cellOf(back(typed, [7]), 7)).toMatchObject({ type: "N2a", source: "human" });
  });

  it("of two halves of one instance is that one cell", () => {
    const doc = picture(["77799...", "77799...", "......55"]);
    expect(rowsOf(back(doc, [9, 7]))).toEqual(["77777...", "77777...", "......55"]);
  });

  it("is none where the model saw nothing, and no step where nothing differs", () => {
    expect(
      asModelled(picture(["........", "........", "77......"]), model, [7], "protect"),
    ).toEqual([]);
    const same = picture(
      ["77777...", "77777...", "........"],
      [[7, { type: "a", source: "human" }]],
    );
    expect(asModelled(same, model, [7], "protect")).toEqual([]);
  });

  it("never changes a cell that was not asked for, whatever happened before", () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = chance(seed);
      const predicted = gridOfCells(60, 3);
      let doc = predicted;
      for (let stroke = 0; stroke < 5; stroke++) doc = randomStroke(doc, random).apply(doc);
      const asked = [1 + Math.floor(random() * 9), 1 + Math.floor(random() * 9)];
      const restored = applySteps(doc, asModelled(doc, predicted, asked, "protect"));
      const before = doc.labels.flat();
      const spared = restored.labels
        .flat()
        .filter(
          (label, at) =>
            label !== before[at] && before[at] !== 0 && !asked.includes(before[at] as number),
        );
      expect(spared).toHaveLength(0);
    }
  });
});
