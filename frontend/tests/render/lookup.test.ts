import { expect, it } from "vitest";
import { differenceOf } from "../../src/core/diff";
import { composite } from "../../src/render/composite";
import {
  FILE_NAMED,
  GUESSED,
  lookupTable,
  recoloured,
  SELECTED,
  SHOWN,
} from "../../src/render/lookup";
import {
  DIFF_COLOURS,
  drawnChannels,
  typeColour,
  UNCHANGED,
  type ChannelView,
} from "../../src/render/settings";
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

it("knows whose colour or marks have changed, in tables of any size", () => {
  const table = lookupTable({ ...base, colourBy: "type" });
  const other = { ...base, selection: new Set([3]), colourBy: "type" } as const;
  expect(recoloured(table, table)).toEqual([]);
  expect(recoloured(table, lookupTable(other))).toEqual([2, 3]);
  expect(recoloured(new Uint8Array(0), table)).toEqual([1, 2, 3]);
  expect(recoloured(table, new Uint8Array(0))).toEqual([1, 2, 3]);
});

it("gives neighbouring instances different colours", () => {
  const table = lookupTable({ ...base, colourBy: "instance" });
  expect([...table.slice(4, 7)]).not.toEqual([...table.slice(8, 11)]);
});

it("marks by whom a type was given: nobody, a person, the model or the file name", () => {
  const sources = ["", "human", "model", "file_name"] as const;
  const typed = picture(
    ["1234"],
    sources.map((source, at) => [at + 1, { type: source === "" ? null : "HEK", source }]),
  );
  const table = lookupTable({ ...base, selection: new Set(), doc: typed, colourBy: "type" });
  const flags = [1, 2, 3, 4].map((label) => table[label * 4 + 3]);
  expect(flags).toEqual([SHOWN, SHOWN, SHOWN | GUESSED, SHOWN | FILE_NAMED]);
});

it("shows what was changed in colours of its own", () => {
  const model = picture(["11.2.", "11.2."], [[2, { type: "HEK", source: "model" }]]);
  const now = picture(["11.23", "11.2."], [[2, { type: "N2a", source: "human" }]]);
  const difference = differenceOf(now, model);
  const table = lookupTable({ ...base, doc: now, colourBy: "type", difference });
  const colour = (label: number) => [...table.slice(label * 4, label * 4 + 3)];
  const bytes = (rgb: readonly number[]) => rgb.map((part) => Math.round(part * 255));
  expect(colour(1)).toEqual(bytes(UNCHANGED));
  expect(colour(2)).toEqual(bytes(DIFF_COLOURS.retyped));
  expect(colour(3)).toEqual(bytes(DIFF_COLOURS.added));
});

const channel = (visible: boolean): ChannelView => ({
  role: "nucleus",
  visible,
  contrast: { black: 0, white: 10 },
  gamma: 1,
  colour: [0, 0, 1],
});

it("shows one channel alone in grey, where that is wanted", () => {
  const channels = [channel(true), channel(false)];
  expect(drawnChannels(channels, true)[0]?.colour).toEqual([1, 1, 1]);
  expect(drawnChannels(channels, false)).toBe(channels);
  expect(drawnChannels([channel(true), channel(true)], true)[0]?.colour).toEqual([0, 0, 1]);
});

it("mixes visible channels as the graphics card does", () => {
  const planes = [Float32Array.from([0, 5, 20]), Float32Array.from([10, 10, 10])];
  const picture = composite(planes, [channel(true), channel(false)]);
  expect([...picture]).toEqual([0, 0, 0, 255, 0, 0, 128, 255, 0, 0, 255, 255]);
});

it("a gamma below 1 lifts dim parts, as in ImageJ", () => {
  const planes = [Float32Array.from([2.5])];
  const blue = (gamma: number) => composite(planes, [{ ...channel(true), gamma }])[2];
  expect([blue(0.5), blue(1), blue(2)]).toEqual([128, 64, 16]);
});

it("gives types their own colours, or ones that the colour-blind tell apart", () => {
  expect(typeColour("#ff0000", 0, "fluorescence")).toEqual([1, 0, 0]);
  const safe = [0, 1, 2, 3].map((index) => typeColour("#ff0000", index, "colour-blind").join());
  expect(new Set(safe).size).toBe(4);
});
