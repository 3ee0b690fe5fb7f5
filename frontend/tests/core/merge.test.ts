/** Two versions of an image, and what is made of them. */
import { describe, expect, it } from "vitest";
import { cellsOf, measure, type CellMeta } from "../../src/core/document";
import { disagreements, mergedSteps, type Disagreement } from "../../src/core/merge";
import { openState, transact } from "../../src/core/state";
import { applySteps } from "../../src/core/history";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

const HEK: CellMeta = { type: "HEK", source: "human" };
const N2A: CellMeta = { type: "N2a", source: "human" };

function merged(mine: string[], theirs: string[], take: (each: Disagreement) => boolean): string[] {
  const [a, b] = [picture(mine), picture(theirs)];
  return rowsOf(applySteps(a, mergedSteps(a, b, disagreements(a, b).filter(take))));
}

describe("two versions", () => {
  it("that are equal but for the numbers of their cells agree", () => {
    expect(disagreements(picture(["11.22"]), picture(["33.11"]))).toEqual([]);
  });

  it("disagree where one has a cell, where it is drawn otherwise, and where it is typed so", () => {
    const mine = picture(["111.22..44", "111.22..44"], [[4, HEK]]);
    const theirs = picture(["111....344", "11..5..344"], [[4, N2A]]);
    const found = disagreements(mine, theirs).map(({ mine, theirs, otherType }) => ({
      mine,
      theirs,
      otherType,
    }));
    expect(found).toEqual([
      { mine: 1, theirs: 1, otherType: false },
      { mine: 2, theirs: 5, otherType: false },
      { mine: null, theirs: 3, otherType: false },
      { mine: 4, theirs: 4, otherType: true },
    ]);
  });

  it("agree on a cell of which less than a fiftieth differs", () => {
    const row = "1".repeat(100);
    expect(disagreements(picture([row]), picture([`${"1".repeat(99)}.`]))).toEqual([]);
    expect(disagreements(picture([row]), picture([`${"1".repeat(97)}...`]))).toHaveLength(1);
  });
});

describe("taking", () => {
  it("nothing changes nothing", () => {
    expect(merged(["11.22"], ["11..."], () => false)).toEqual(["11.22"]);
  });

  it("a cell that only they have adds it under a new number", () => {
    expect(merged(["11....."], ["11..222"], () => true)).toEqual(["11..222"]);
  });

  it("their version where only I have a cell removes it", () => {
    expect(merged(["11.22"], ["11..."], () => true)).toEqual(["11..."]);
  });

  it("their drawing of a cell keeps its number and gives back what mine had more", () => {
    expect(merged(["5555..."], [".777..."], () => true)).toEqual([".555..."]);
  });

  it("a cell replaces what it overlaps of mine, which keeps a large remnant", () => {
    const found = merged(["1111111111"], ["........22"], (each) => each.mine === null);
    expect(found).toEqual(["1111111122"]);
  });

  it("a cell drops a remnant of mine that is less than three tenths of it", () => {
    const mine = ["1111111111......"];
    const theirs = ["..22222222222222"];
    const [a, b] = [picture(mine), picture(theirs)];
    const pair = { mine: null, theirs: 2, iou: 0, otherType: false, box: a.labels.box };
    expect(rowsOf(applySteps(a, mergedSteps(a, b, [pair])))).toEqual(["..22222222222222"]);
  });

  it("a type takes it with its source, and is one gesture to undo", () => {
    const mine = picture(["11.22"], [[1, HEK]]);
    const theirs = picture(["11.22"], [[1, N2A]]);
    const steps = mergedSteps(mine, theirs, disagreements(mine, theirs));
    const state = transact(openState(mine), { kind: "edit", name: "Take", steps });
    expect(state.doc.meta.get(1)).toEqual(N2A);
    expect(state.history.done).toHaveLength(1);
    expect(transact(state, { kind: "undo" }).doc.meta.get(1)).toEqual(HEK);
  });

  it("nothing still keeps a type that they confirmed by hand", () => {
    const guess: CellMeta = { type: "HEK", source: "model" };
    const mine = picture(["11.22"], [[1, guess]]);
    const theirs = picture(["33.2."], [[3, HEK]]);
    const found = disagreements(mine, theirs);
    expect(found.map(({ mine: label }) => label)).toEqual([2]);
    const result = applySteps(mine, mergedSteps(mine, theirs, []));
    expect(result.meta.get(1)).toEqual(HEK);
    expect(rowsOf(result)).toEqual(["11.22"]);
  });

  it("their drawing keeps the type that I confirmed by hand", () => {
    const mine = picture(["11111"], [[1, HEK]]);
    const theirs = picture(["111.."], [[1, { type: "HEK", source: "model" }]]);
    const result = applySteps(mine, mergedSteps(mine, theirs, disagreements(mine, theirs)));
    expect(rowsOf(result)).toEqual(["111.."]);
    expect(result.meta.get(1)).toEqual(HEK);
  });

  it("their complete regions restricts mine, and is undone with the rest", () => {
    const mine = picture(["11.22"]);
    const regions = [{ x0: 0, y0: 0, x1: 2, y1: 1 }];
    const theirs = { ...mine, regions };
    expect(mergedSteps(mine, theirs, [])).toEqual([]);
    const steps = mergedSteps(mine, theirs, [], true);
    const state = transact(openState(mine), { kind: "edit", name: "Take", steps });
    expect(state.doc.regions).toEqual(regions);
    expect(transact(state, { kind: "undo" }).doc.regions).toBeNull();
  });

  it("everything gives their version", () => {
    const random = chance(12);
    for (let round = 0; round < 8; round++) {
      const base = gridOfCells(60, 3);
      let [mine, theirs] = [base, base];
      for (let edit = 0; edit < 4; edit++) mine = randomStroke(mine, random).apply(mine);
      for (let edit = 0; edit < 4; edit++) theirs = randomStroke(theirs, random).apply(theirs);
      const found = disagreements(mine, theirs);
      const result = applySteps(mine, mergedSteps(mine, theirs, found));
      const left = disagreements(result, theirs).filter(({ iou }) => iou < 0.9);
      expect(left).toEqual([]);
    }
  });

  it("anything leaves a document whose measures are true, and undo gives mine back", () => {
    const random = chance(99);
    for (let round = 0; round < 12; round++) {
      const base = gridOfCells(60, 3);
      let [mine, theirs] = [base, base];
      for (let edit = 0; edit < 5; edit++) mine = randomStroke(mine, random).apply(mine);
      for (let edit = 0; edit < 5; edit++) theirs = randomStroke(theirs, random).apply(theirs);
      const taken = disagreements(mine, theirs).filter(() => random() < 0.5);
      const steps = mergedSteps(mine, theirs, taken);
      const state = transact(openState(mine), { kind: "edit", name: "Take", steps });
      const flat = state.doc.labels.flat();
      expect([...state.doc.geometry.entries()]).toEqual([...measure(flat, 60).entries()]);
      for (const { label } of cellsOf(state.doc)) expect(state.doc.meta.get(label)).toBeDefined();
      if (steps.length > 0) {
        expect(transact(state, { kind: "undo" }).doc.labels.equals(mine.labels)).toBe(true);
      }
    }
  });
});
