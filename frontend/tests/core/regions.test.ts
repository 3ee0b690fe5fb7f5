import { expect, it } from "vitest";
import { components, fragmented, pieceCount } from "../../src/core/regions";
import { chance, picture } from "./drawing";

it("diagonal neighbours belong to one piece of a cell", () => {
  expect(pieceCount(picture(["1..", ".1.", "..1"]), 1)).toBe(1);
  expect(pieceCount(picture(["1..", "...", "..1"]), 1)).toBe(2);
});

it("components without diagonals tell corner neighbours apart", () => {
  const window = { values: Uint8Array.from([1, 0, 0, 1]), width: 2, height: 2 };
  expect(components(window, false).areas).toEqual([1, 1]);
  expect(components(window, true).areas).toEqual([2]);
});

it("the cells in pieces found in one pass are those found one by one", () => {
  const random = chance(17);
  for (let round = 0; round < 60; round++) {
    const rows = Array.from({ length: 14 }, () =>
      Array.from({ length: 17 }, () =>
        random() < 0.45 ? "." : String(1 + Math.floor(random() * 5)),
      ).join(""),
    );
    const doc = picture(rows);
    const expected = [1, 2, 3, 4, 5].filter((label) => pieceCount(doc, label) > 1);
    expect([...fragmented(doc.labels.flat(), 17)].sort()).toEqual(expected);
  }
});
