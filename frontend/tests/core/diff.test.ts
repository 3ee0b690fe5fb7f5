import { expect, it } from "vitest";
import { differenceOf } from "../../src/core/diff";
import { picture } from "./drawing";

const model = picture(
  [
    "111.22.33", //
    "111.22.33",
  ],
  [
    [1, { type: "HEK", source: "model" }],
    [2, { type: "HEK", source: "model" }],
    [3, { type: "N2a", source: "model" }],
  ],
);
const sets = (rows: string[], types: [number, string][] = []) => {
  const doc = picture(
    rows,
    types.map(([label, type]) => [label, { type, source: "human" }]),
  );
  const { added, removed, reshaped, retyped } = differenceOf(doc, model);
  return {
    added: [...added],
    removed: [...removed],
    reshaped: [...reshaped],
    retyped: [...retyped],
  };
};
const TYPES: [number, string][] = [
  [1, "HEK"],
  [2, "HEK"],
  [3, "N2a"],
];
const NONE = { added: [], removed: [], reshaped: [], retyped: [] };

it("a confirmed type is no change", () => {
  expect(sets(["111.22.33", "111.22.33"], TYPES)).toEqual(NONE);
});

it("cells numbered anew are still the same cells", () => {
  const types: [number, string][] = [
    [7, "HEK"],
    [8, "HEK"],
    [9, "N2a"],
  ];
  expect(sets(["777.88.99", "777.88.99"], types)).toEqual(NONE);
});

it("tells added, removed, reshaped and retyped cells apart", () => {
  const types: [number, string][] = [
    [1, "HEK"],
    [2, "N2a"],
    [5, "HEK"],
  ];
  expect(sets(["11..22.5.", "111.22..."], types)).toEqual({
    added: [],
    removed: [],
    reshaped: [1, 5],
    retyped: [2, 5],
  });
  expect(sets(["11..22...", "111.22..."], types)).toEqual({
    added: [],
    removed: [3],
    reshaped: [1],
    retyped: [2],
  });
});

it("a split cell is reshaped and its other part added; a merged one took the other's place", () => {
  expect(sets(["144.22.33", "144.22.33"], [...TYPES, [4, "HEK"]])).toEqual({
    ...NONE,
    added: [1],
    reshaped: [4],
  });
  expect(sets(["111.22233", "111.22233"], TYPES)).toMatchObject({ reshaped: [2] });
  expect(sets(["111122.33", "111.22.33"], TYPES)).toEqual({ ...NONE, reshaped: [1] });
});

it("holds the pixels of what was removed and of former shapes", () => {
  const doc = picture(["11..22...", "111.22..."]);
  const { removedSpans, formerSpans } = differenceOf(doc, model);
  expect(removedSpans).toEqual([
    { y: 0, x0: 7, x1: 9 },
    { y: 1, x0: 7, x1: 9 },
  ]);
  expect(formerSpans).toEqual([
    { y: 0, x0: 0, x1: 3 },
    { y: 1, x0: 0, x1: 3 },
  ]);
});
