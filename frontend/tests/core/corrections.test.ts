import { describe, expect, it } from "vitest";
import type { Command } from "../../src/core/commands";
import { redo, undo } from "../../src/core/commands";
import {
  addCell,
  dropStrays,
  growSelection,
  restoreFromModel,
  separatePieces,
  shrinkSelection,
  splitAlong,
  splitFrom,
  typeAll,
  typeSelection,
} from "../../src/core/corrections";
import { cellOf, cellsOf, type MaskDocument } from "../../src/core/document";
import type { Evidence } from "../../src/core/evidence";
import { NO_REFERENCE } from "../../src/core/reference";
import { openState, transact, type EditorState } from "../../src/core/state";
import { picture, rowsOf } from "./drawing";

function run(state: EditorState, ...commands: Command[]): EditorState {
  let current = state;
  for (const command of commands) {
    command(current, (transaction) => {
      current = transact(current, transaction);
    });
  }
  return current;
}

function selecting(doc: MaskDocument, ...labels: number[]): EditorState {
  return transact(openState(doc), { kind: "select", selection: new Set(labels) });
}

const names = (state: EditorState): string[] => state.history.done.map(({ name }) => name);

describe("splitting", () => {
  const doc = picture(["1111.222"], [[1, { type: "HEK", source: "file_name" }]]);
  const line = [
    { x: 1.5, y: -1 },
    { x: 1.5, y: 2 },
  ];

  it("selects the pieces and is one entry that undo takes back with the selection", () => {
    const before = transact(openState(doc), { kind: "select", selection: new Set([2]) });
    const split = run(before, splitAlong(line));
    expect([...split.selection].sort()).toEqual([1, 3]);
    expect(names(split)).toEqual(["Split"]);
    expect(cellOf(split.doc, 3)).toMatchObject({ type: "HEK", source: "file_name" });
    const back = run(split, undo);
    expect(rowsOf(back.doc)).toEqual(["1111.222"]);
    expect([...back.selection]).toEqual([2]);
    expect(rowsOf(run(back, redo).doc)).toEqual(rowsOf(split.doc));
  });

  it("says without dispatch whether there is something to cut", () => {
    expect(splitAlong(line)(openState(doc))).toBe(true);
    expect(splitAlong([{ x: 4.5, y: 0 }])(openState(doc))).toBe(false);
    expect(splitFrom([{ x: 0.5, y: 0.5 }])(openState(doc))).toBe(false);
  });
});

describe("growing and shrinking", () => {
  it("work on the selected cells and name what vanishes", () => {
    const doc = picture([".....", ".1.2.", "....."]);
    expect(growSelection(openState(doc))).toBe(false);
    const grown = run(selecting(doc, 1), growSelection);
    expect(rowsOf(grown.doc)).toEqual([".1...", "1112.", ".1..."]);
    const shrunk = run(selecting(doc, 1, 2), shrinkSelection);
    expect([...cellsOf(shrunk.doc)]).toEqual([]);
    expect(names(shrunk)).toEqual(["Shrink 2 cells, 2 to nothing"]);
    expect(rowsOf(run(shrunk, undo).doc)).toEqual(rowsOf(doc));
  });

  it("leave no entry where there is no room", () => {
    const full = picture(["1122", "1122"]);
    expect(names(run(selecting(full, 1), growSelection))).toEqual([]);
    expect(names(run(selecting(picture(["11", "11"]), 1), shrinkSelection))).toEqual([]);
  });
});

describe("cells in pieces", () => {
  const doc = picture(["11.1.2"], [[1, { type: "HEK", source: "human" }]]);

  it("lose their strays, or become cells of the same type, and are in pieces no more", () => {
    const state = openState(doc);
    expect([...state.fragments]).toEqual([1]);
    const dropped = run(state, dropStrays(state.fragments));
    expect(rowsOf(dropped.doc)).toEqual(["11...2"]);
    const apart = run(state, separatePieces(state.fragments));
    expect(rowsOf(apart.doc)).toEqual(["11.3.2"]);
    expect(cellOf(apart.doc, 3)?.type).toBe("HEK");
    for (const after of [dropped, apart]) {
      expect(after.fragments.size).toBe(0);
      expect([...run(after, undo).fragments]).toEqual([1]);
    }
  });

  it("only those: a whole cell has nothing to drop", () => {
    expect(dropStrays(new Set([2]))(openState(doc))).toBe(false);
    expect(separatePieces(new Set([2]))(openState(doc))).toBe(false);
  });
});

describe("types", () => {
  it("go to all cells, or to the selected ones, in one entry", () => {
    const doc = picture(["1.2.3"], [[1, { type: "HEK", source: "model" }]]);
    const all = run(openState(doc), typeAll("N2a"));
    expect([...cellsOf(all.doc)].map(({ type, source }) => `${type} ${source}`)).toEqual([
      "N2a human",
      "N2a human",
      "N2a human",
    ]);
    const some = run(selecting(doc, 1, 3), typeSelection("N2a"));
    expect([...cellsOf(some.doc)].map(({ type }) => type)).toEqual(["N2a", null, "N2a"]);
    expect(names(some)).toEqual(["Type N2a"]);
    expect(typeSelection("N2a")(openState(doc))).toBe(false);
  });
});

describe("adding a cell", () => {
  const doc = picture(["..1..", "..1.."]);
  const spans = [
    { y: 0, x0: 0, x1: 5 },
    { y: 1, x0: 0, x1: 4 },
  ];
  const addition = { name: "Pick cell", meta: { type: "HEK", source: "model" }, at: null } as const;

  it("takes the free piece around the point, protecting others", () => {
    const state = run(openState(doc), addCell(spans, { ...addition, at: { x: 3.5, y: 0.5 } }));
    expect(rowsOf(state.doc)).toEqual(["..122", "..12."]);
    expect([...state.selection]).toEqual([2]);
    expect(cellOf(state.doc, 2)).toMatchObject({ type: "HEK", source: "model" });
  });

  it("takes all of it in overwrite mode", () => {
    const state = run(openState(doc, new Map(), { mode: "overwrite" }), addCell(spans, addition));
    expect(rowsOf(state.doc)).toEqual(["22222", "2222."]);
  });

  it("is nothing where nothing is free", () => {
    expect(addCell([{ y: 0, x0: 2, x1: 3 }], addition)(openState(doc))).toBe(false);
  });
});

describe("the model's version", () => {
  const model = picture(["111.22"], [[2, { type: "N2a", source: "model" }]]);
  const evidence = new Map<number, Evidence>([
    [2, { score: 1, probabilities: {}, uncertainty: 0.4, terms: {}, seenBy: "both" }],
  ]);
  const open = (rows: string[]): EditorState => ({
    ...openState(picture(rows), evidence),
    reference: { ...NO_REFERENCE, model },
  });

  it("replaces the selected cell, else the one under the pointer", () => {
    const state = open(["1....."]);
    const chosen = transact(state, { kind: "select", selection: new Set([1]) });
    for (const after of [
      run(chosen, restoreFromModel(null)),
      run(state, restoreFromModel({ x: 0.5, y: 0.5 })),
    ]) {
      expect(rowsOf(after.doc)).toEqual(["111..."]);
    }
    expect(restoreFromModel(null)(state)).toBe(false);
  });

  it("adds a cell that is missing, under the number the model's opinion is kept under", () => {
    const after = run(open(["111..."]), restoreFromModel({ x: 4.5, y: 0.5 }));
    expect(rowsOf(after.doc)).toEqual(["111.22"]);
    expect(cellOf(after.doc, 2)).toMatchObject({ type: "N2a", source: "model" });
    expect([...after.selection]).toEqual([2]);
    expect(rowsOf(run(after, undo).doc)).toEqual(["111..."]);
  });

  it("adds a missing cell while one is selected that is the model's already", () => {
    const chosen = transact(open(["111..."]), { kind: "select", selection: new Set([1]) });
    expect(rowsOf(run(chosen, restoreFromModel({ x: 4.5, y: 0.5 })).doc)).toEqual(["111.22"]);
  });

  it("gives a new number where another cell has that one", () => {
    const after = run(open(["222..."]), restoreFromModel({ x: 4.5, y: 0.5 }));
    expect(rowsOf(after.doc)).toEqual(["222.33"]);
  });

  it("is nothing without a model, or where it saw nothing", () => {
    expect(restoreFromModel({ x: 3.5, y: 0.5 })(open(["111..."]))).toBe(false);
    expect(restoreFromModel({ x: 0, y: 0 })(openState(picture(["1"])))).toBe(false);
  });
});
