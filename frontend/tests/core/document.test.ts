import { describe, expect, it } from "vitest";
import { assignType, deleteCells, type Command } from "../../src/core/commands";
import { openDocument, sameDocument, type CellMeta } from "../../src/core/document";
import { openState, transact, type EditorState } from "../../src/core/state";
import { gridOfCells, picture } from "./drawing";

function run(state: EditorState, command: Command): EditorState {
  let current = state;
  command(current, (transaction) => {
    current = transact(current, transaction);
  });
  return current;
}

describe("two documents are the same", () => {
  const HEK: CellMeta = { type: "HEK", source: "model" };

  it("when their pixels and types are, however they came about", () => {
    expect(sameDocument(picture(["11.2"], [[1, HEK]]), picture(["11.2"], [[1, HEK]]))).toBe(true);
    const start = openState(gridOfCells(200, 5));
    const typed = run(start, assignType([3], "N2a"));
    expect(sameDocument(typed.doc, start.doc)).toBe(false);
    const back = transact(typed, { kind: "undo" });
    expect(back.doc).not.toBe(start.doc);
    expect(sameDocument(back.doc, start.doc)).toBe(true);
  });

  it("not when a pixel, a type or its source differs", () => {
    const doc = picture(["11.2"], [[1, HEK]]);
    expect(sameDocument(doc, picture(["11.."], [[1, HEK]]))).toBe(false);
    expect(sameDocument(doc, picture(["11.2"]))).toBe(false);
    const confirmed: CellMeta = { type: "HEK", source: "human" };
    expect(sameDocument(doc, picture(["11.2"], [[1, confirmed]]))).toBe(false);
  });

  it("whatever is still known of cells that are gone", () => {
    const deleted = run(openState(picture(["1.2"], [[2, HEK]])), deleteCells(new Set([2])));
    expect(sameDocument(deleted.doc, picture(["1.."]))).toBe(true);
  });
});

it("labels used before are not given again, though their cells are gone", () => {
  expect(openDocument([1, 0, 0], { width: 3, height: 1 }, [], 7).highest).toBe(7);
  expect(openDocument([1, 0, 9], { width: 3, height: 1 }, [], 7).highest).toBe(9);
});
