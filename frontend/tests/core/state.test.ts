import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  assignType,
  byUncertainty,
  deleteCells,
  deleteSelection,
  fillHoles,
  mergeCells,
  mergeSelection,
  newCell,
  redo,
  typeUntyped,
  undo,
  type Command,
} from "../../src/core/commands";
import { cellOf, cellsOf, countTypes } from "../../src/core/document";
import type { Evidence } from "../../src/core/evidence";
import { bytesOf } from "../../src/core/history";
import { openState, transact, type EditorState } from "../../src/core/state";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

function run(state: EditorState, ...commands: Command[]): EditorState {
  let current = state;
  for (const command of commands) {
    command(current, (transaction) => {
      current = transact(current, transaction);
    });
  }
  return current;
}

function hashOf(state: EditorState): string {
  return createHash("sha1").update(state.doc.labels.flat()).digest("hex");
}

const selected = (...labels: number[]) => ({ kind: "select", selection: new Set(labels) }) as const;

describe("history", () => {
  it("takes back and repeats two hundred gestures", () => {
    const random = chance(21);
    let state = openState(gridOfCells(128, 4));
    const seen = [hashOf(state)];
    for (let gesture = 0; gesture < 250; gesture++) {
      const name = `stroke ${gesture}`;
      for (let sample = 0; sample < 3; sample++) {
        const steps = [randomStroke(state.doc, random)];
        state = transact(state, { kind: "edit", name, steps, open: true });
      }
      state = transact(state, { kind: "end" });
      seen.push(hashOf(state));
    }
    const kept = state.history.done.length;
    expect(kept).toBeGreaterThanOrEqual(200);
    for (let back = 0; back < 200; back++) {
      state = run(state, undo);
      expect(hashOf(state)).toBe(seen[seen.length - 2 - back]);
    }
    for (let again = 0; again < 200; again++) state = run(state, redo);
    expect(hashOf(state)).toBe(seen.at(-1));
  });

  it("groups what one gesture did into one entry of at most one step per kind", () => {
    const random = chance(8);
    let state = openState(gridOfCells(64, 2));
    for (let sample = 0; sample < 50; sample++) {
      const steps = [randomStroke(state.doc, random)];
      state = transact(state, { kind: "edit", name: "Brush", steps, open: true });
    }
    state = transact(state, { kind: "end" });
    expect(state.history.done).toHaveLength(1);
    expect(state.history.done[0]?.steps).toHaveLength(1);
    expect(bytesOf(state.history.done[0] as never)).toBeLessThan(64 * 64 * 16);
  });

  it("shows no trace of a cancelled gesture", () => {
    const before = openState(gridOfCells(64, 2));
    const steps = [randomStroke(before.doc, chance(4))];
    const painting = transact(before, { kind: "edit", name: "Brush", steps, open: true });
    expect(painting.doc.labels.flat()).not.toEqual(before.doc.labels.flat());
    const after = transact(painting, { kind: "cancel" });
    expect(after.doc.labels.flat()).toEqual(before.doc.labels.flat());
    expect(after.history).toEqual(before.history);
  });

  it("forgets what was undone once something new is done", () => {
    const state = run(openState(picture(["12", "12"])), deleteCells(new Set([1])), undo);
    expect(redo(state)).toBe(true);
    expect(redo(run(state, deleteCells(new Set([2]))))).toBe(false);
  });

  it("brings the selection back with the cells", () => {
    let state = transact(openState(picture(["12", "12"])), selected(1, 2));
    state = run(state, deleteSelection);
    expect(state.selection.size).toBe(0);
    expect([...run(state, undo).selection]).toEqual([1, 2]);
  });
});

describe("a command without dispatch", () => {
  it("says whether it could run and changes nothing", () => {
    const state = openState(picture(["12", "12"]));
    expect(undo(state)).toBe(false);
    expect(deleteSelection(state)).toBe(false);
    expect(mergeSelection(transact(state, selected(1)))).toBe(false);
    expect(mergeSelection(transact(state, selected(1, 2)))).toBe(true);
    expect(rowsOf(state.doc)).toEqual(["12", "12"]);
  });
});

describe("merging", () => {
  it("joins cells into the largest, of equal ones the first; a type given by hand stays", () => {
    const doc = picture(
      ["1122", "1122", "..33"],
      [
        [1, { type: "HEK", source: "model" }],
        [2, { type: "HEK", source: "model" }],
        [3, { type: "N2a", source: "human" }],
      ],
    );
    const state = run(openState(doc), mergeCells([3, 1, 2]));
    expect(rowsOf(state.doc)).toEqual(["1111", "1111", "..11"]);
    expect(cellOf(state.doc, 1)).toMatchObject({ type: "N2a", source: "human", area: 10 });
    expect(rowsOf(run(state, undo).doc)).toEqual(rowsOf(doc));
    expect(cellOf(run(state, undo).doc, 3)).toMatchObject({ type: "N2a", source: "human" });
  });

  it("of cells far apart is reported as one cell in pieces", () => {
    const state = run(openState(picture(["1...2"])), mergeCells([1, 2]));
    expect(rowsOf(state.doc)).toEqual(["1...1"]);
    expect([...state.fragments]).toEqual([1]);
    expect(run(state, undo).fragments.size).toBe(0);
  });

  it("closes gaps of up to two pixels, never over other cells, and undo opens them", () => {
    const rows = [
      ["111..222.", "111..222.", "1113.222.", ".....222."],
      ["11.......", "11.......", "...22....", "...22...."],
    ];
    const merged = rows.map((each) => run(openState(picture(each)), mergeCells([1, 2])));
    expect(merged.map(({ doc }) => rowsOf(doc))).toEqual([
      ["22222222.", "22222222.", "22232222.", ".....222."],
      ["11.......", "1111.....", ".1111....", "...11...."],
    ]);
    expect(merged.map(({ fragments }) => fragments.size)).toEqual([0, 0]);
    expect(merged.map((state) => rowsOf(run(state, undo).doc))).toEqual(rows);
  });

  it("of cells that touch takes no background", () => {
    const state = run(openState(picture(["11.22", "11122"])), mergeCells([1, 2]));
    expect(rowsOf(state.doc)).toEqual(["11.11", "11111"]);
  });
});

describe("types", () => {
  it("are given by hand, counted and taken back", () => {
    let state = openState(picture(["1.2.3"], [[1, { type: "HEK", source: "model" }]]));
    state = run(state, assignType([2], "N2a"), typeUntyped("HEK"));
    expect(countTypes(state.doc)).toEqual(
      new Map([
        ["HEK", 2],
        ["N2a", 1],
      ]),
    );
    expect(cellOf(state.doc, 1)?.source).toBe("model");
    expect(cellOf(state.doc, 3)?.source).toBe("human");
    state = run(state, undo, undo);
    expect(countTypes(state.doc)).toEqual(
      new Map([
        ["HEK", 1],
        [null, 2],
      ]),
    );
  });

  it("of the model, confirmed by its key, become the person's", () => {
    const state = openState(picture(["1"], [[1, { type: "HEK", source: "model" }]]));
    expect(cellOf(run(state, assignType([1], "HEK")).doc, 1)?.source).toBe("human");
    expect(assignType([1], "HEK")(run(state, assignType([1], "HEK")))).toBe(false);
  });
});

describe("filling holes", () => {
  const ring = ["1111111", "1.....1", "1.22..1", "1.....1", "1111111"];

  it("takes the background inside and spares other cells", () => {
    const state = run(transact(openState(picture(ring)), selected(1)), fillHoles);
    expect(rowsOf(state.doc)).toEqual(["1111111", "1111111", "1122111", "1111111", "1111111"]);
  });

  it("has nothing to do where the cell is open to the outside", () => {
    const open = ["1111", "1..1", "1..1"];
    const state = transact(openState(picture(open)), selected(1));
    expect(fillHoles(state)).toBe(false);
  });
});

it("cells are ordered from the most to the least uncertain, those alive", () => {
  const evidence = new Map<number, Evidence>(
    [0.2, 0.9, 0.5].map((uncertainty, index) => [
      index + 1,
      { score: 1, probabilities: {}, uncertainty, terms: {}, seenBy: "both" },
    ]),
  );
  const state = openState(picture(["1.2.3"]), evidence);
  expect(byUncertainty(state)).toEqual([2, 3, 1]);
  expect(byUncertainty(run(state, deleteCells(new Set([2]))))).toEqual([3, 1]);
});

it("a new cell never takes a label used before, even by a deleted cell", () => {
  let state = openState(picture(["1.5"]));
  state = run(state, deleteCells(new Set([5])), newCell);
  expect(state.doc.highest).toBe(5);
  expect([...cellsOf(state.doc)].map(({ label }) => label)).toEqual([1]);
});
