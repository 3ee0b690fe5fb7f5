/** Edits kept to a region: cells that reach into it change as wholes, others not at all. */
import { describe, expect, it } from "vitest";
import { assignType, deleteCells, fillHoles, mergeCells, select } from "../../src/core/commands";
import { cellsIn, confined, reaches } from "../../src/core/confine";
import { splitAlong } from "../../src/core/corrections";
import type { MaskDocument } from "../../src/core/document";
import type { Box } from "../../src/core/geometry";
import { invertSteps, applySteps } from "../../src/core/history";
import { boxSpans, paintSpans, anyLabel, background } from "../../src/core/paint";
import { openState, transact, type EditorState, type Transaction } from "../../src/core/state";
import type { Step } from "../../src/core/steps";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

// The region is the right half: 1 lies outside, 2 reaches over its edge, 3 lies inside.
const ROWS = ["11.2222.33", "11.2222.33", ".........."];
const REGION: Box = { x0: 5, y0: 0, x1: 10, y1: 3 };

const keep = (doc: MaskDocument, steps: readonly Step[], region = REGION): MaskDocument =>
  applySteps(doc, confined(doc, steps, region).steps);

/** The state after a command that is confined as the editor confines it. */
function within(state: EditorState, command: ReturnType<typeof deleteCells>): EditorState {
  let now = state;
  const dispatch = (transaction: Transaction): void => {
    const steps =
      transaction.kind === "edit" ? confined(now.doc, transaction.steps, REGION).steps : [];
    now = transact(now, transaction.kind === "edit" ? { ...transaction, steps } : transaction);
  };
  command(now, dispatch);
  return now;
}
const start = (rows = ROWS): EditorState => openState(picture(rows));
const box = (x0: number, y0: number, x1: number, y1: number): Box => ({ x0, y0, x1, y1 });
const paint = (doc: MaskDocument, at: Box, label: number, over = background): Step =>
  paintSpans(doc.labels, boxSpans(at), label, over);

describe("the cells of a region", () => {
  it("are those with pixels in it", () => {
    const doc = picture(ROWS);
    expect([...cellsIn(doc, REGION)].sort()).toEqual([2, 3]);
    expect([1, 2, 3, 9].map((label) => reaches(doc, label, REGION))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it("are told by pixels, not by boxes", () => {
    const doc = picture(["1....", "1....", "11111"]);
    expect(reaches(doc, 1, box(2, 0, 5, 2))).toBe(false);
    expect(cellsIn(doc, box(2, 0, 5, 2)).size).toBe(0);
  });
});

describe("kept to a region", () => {
  it("a cell that reaches into it is deleted as a whole, one outside not at all", () => {
    const after = within(start(), deleteCells(new Set([1, 2, 3])));
    expect(rowsOf(after.doc)).toEqual(["11........", "11........", ".........."]);
    const step = paint(picture(ROWS), box(0, 0, 2, 2), 0, anyLabel);
    expect(confined(picture(ROWS), [step], REGION)).toEqual({ steps: [], refused: true });
  });

  it("a new cell may begin in it and end outside, not lie outside", () => {
    const doc = picture(ROWS);
    const across = rowsOf(keep(doc, [paint(doc, box(3, 2, 8, 3), 4)]));
    expect(across[2]).toBe("...44444..");
    const outside = confined(doc, [paint(doc, box(0, 2, 4, 3), 4)], REGION);
    expect(outside).toEqual({ steps: [], refused: true });
  });

  it("cells outside lose nothing to a stroke that overwrites", () => {
    const doc = picture(ROWS);
    const after = keep(doc, [paint(doc, box(0, 0, 7, 1), 2, anyLabel)]);
    expect(rowsOf(after)[0]).toBe("1122222.33");
  });

  it("a piece outside is merged into the region's cell, but not half of one", () => {
    const rows = ["11222.3333", "11222.3333"];
    const region = box(3, 0, 10, 2);
    const doc = picture(rows);
    const merged: Step[] = [];
    mergeCells([1, 2])(openState(doc), (transaction) => {
      if (transaction.kind === "edit") merged.push(...transaction.steps);
    });
    expect(rowsOf(keep(doc, merged, region))).toEqual(["22222.3333", "22222.3333"]);
    const half = paint(doc, box(1, 0, 2, 2), 2, anyLabel);
    expect(rowsOf(keep(doc, [half], region))).toEqual(rows);
  });

  it("a cell that is split keeps both of its pieces", () => {
    const after = within(
      start(),
      splitAlong([
        { x: 5, y: -1 },
        { x: 5, y: 3 },
      ]),
    );
    expect(after.doc.geometry.size).toBe(4);
    expect([...cellsIn(after.doc, box(0, 0, 4, 3))].length).toBe(2);
  });

  it("types are given to its cells alone", () => {
    const after = within(start(), assignType([1, 2, 3], "HEK"));
    expect([1, 2, 3].map((label) => after.doc.meta.get(label)?.type)).toEqual([null, "HEK", "HEK"]);
  });

  it("holes are filled in turn where the first was held back", () => {
    // 1 outside encloses 2, which is outside too; 3 inside encloses a hole.
    const rows = ["111..333", "121..3.3", "111..333"];
    const region = box(4, 0, 8, 3);
    const state = transact(openState(picture(rows)), {
      kind: "select",
      selection: new Set([1, 3]),
    });
    let steps: readonly Step[] = [];
    fillHoles({ ...state, options: { ...state.options, mode: "overwrite" } }, (transaction) => {
      if (transaction.kind === "edit") ({ steps } = transaction);
    });
    expect(rowsOf(keep(state.doc, steps, region))).toEqual(["111..333", "121..333", "111..333"]);
  });

  it("what a tool takes back of what was held back changes nothing", () => {
    // As the wand does: what it painted before goes, the new part comes.
    const doc = picture(ROWS);
    const first = paint(doc, box(0, 2, 7, 3), 4);
    const second = paint(doc, box(5, 2, 7, 3), 4);
    const { steps } = confined(doc, [first.invert(), second], REGION);
    const after = applySteps(doc, steps);
    expect(rowsOf(after)[2]).toBe(".....44...");
    expect(rowsOf(applySteps(after, invertSteps(steps)))).toEqual(ROWS);
  });
});

it("a random stroke leaves every cell outside as it was; several can be undone", () => {
  const random = chance(5);
  const region = box(20, 20, 44, 40);
  for (let round = 0; round < 60; round++) {
    const doc = gridOfCells(64, 8);
    const outside = [...doc.geometry.entries()].filter(([label]) => !reaches(doc, label, region));
    const first = randomStroke(doc, random);
    const after = keep(doc, [first], region);
    const inside = cellsIn(after, region);
    for (const [label, geometry] of outside) {
      const { x0, y0, x1, y1 } = geometry.box;
      const [x, y] = [Math.floor((x0 + x1) / 2), Math.floor((y0 + y1) / 2)];
      // Only a cell that becomes part of another as a whole may go.
      if (after.geometry.get(label) === undefined) expect(after.labels.at(x, y)).not.toBe(0);
      else if (!inside.has(label)) expect(after.geometry.get(label)).toEqual(geometry);
    }
    const steps = [first, randomStroke(applySteps(doc, [first]), random)];
    const kept = confined(doc, steps, region).steps;
    expect(applySteps(applySteps(doc, kept), invertSteps(kept)).labels.equals(doc.labels)).toBe(
      true,
    );
  }
});

it("selecting needs no leave", () => {
  expect([...within(start(), select([1])).selection]).toEqual([1]);
});
