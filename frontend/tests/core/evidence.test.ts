import { describe, expect, it } from "vitest";
import { doubts, type Evidence } from "../../src/core/evidence";

const cell = (terms: Record<string, number>, over: Partial<Evidence> = {}): Evidence => ({
  ...{ score: 0.6, probabilities: { HEK: 0.55, N2a: 0.45 }, uncertainty: 0.7, seenBy: "both" },
  terms,
  ...over,
});
const said = (terms: Record<string, number>, over: Partial<Evidence> = {}): string[] =>
  doubts(cell(terms, over)).map((text) => text.replaceAll("\u00a0", " "));

describe("why a cell is asked about", () => {
  it("is said in words and numbers, what weighs most first", () => {
    expect(said({ existence: 0.4, border: 0.6, type: 0.5 })).toEqual([
      "the models disagree on the border",
      "55 % HEK / 45 % N2a",
      "only 60 % likely to be a cell",
    ]);
    expect(said({ existence: 0.1, border: 0.1 })).toEqual([]);
  });

  it("is said too where a segmenter alone looked, or views of the cell differ", () => {
    expect(said({ inside: 0.65, views: 0.4 }, { seenBy: "" })).toEqual([
      "the segmenter sees little of a cell in it (35 %)",
      "mirrored, it looks of another type",
    ]);
  });

  it("is a border that is not sharp where there is nothing else", () => {
    expect(said({ edge: 0.85 })).toEqual(["its border is not sharp"]);
    expect(said({ edge: 0.85, border: 0.5 })).toEqual(["the models disagree on the border"]);
  });

  it("is not the border of a good cell, which is not sharp either", () => {
    expect(said({ edge: 0.7 })).toEqual([]);
    expect(said({ edge: 0.85 }, { uncertainty: 0.02 })).toEqual([]);
  });
});
