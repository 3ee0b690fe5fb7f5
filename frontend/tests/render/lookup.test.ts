import { expect, it } from "vitest";
import { GUESSED, lookupTable, SELECTED, SHOWN } from "../../src/render/lookup";
import { picture } from "../core/drawing";

const doc = picture(
  ["1.2.3"],
  [
    [1, { type: "HEK", source: "human" }],
    [2, { type: "HEK", source: "model" }],
  ],
);
const base = {
  doc,
  selection: new Set([2]),
  evidence: new Map(),
  typeColours: new Map([["HEK", [1, 0, 0] as const]]),
};

it("colours cells by type and marks guesses and the selection", () => {
  const table = lookupTable({ ...base, colourBy: "type" });
  expect([...table.slice(4, 8)]).toEqual([255, 0, 0, SHOWN]);
  expect([...table.slice(8, 12)]).toEqual([255, 0, 0, SHOWN | SELECTED | GUESSED]);
  expect(table[15]).toBe(SHOWN);
});

it("gives neighbouring instances different colours", () => {
  const table = lookupTable({ ...base, colourBy: "instance" });
  expect([...table.slice(4, 7)]).not.toEqual([...table.slice(8, 11)]);
});
