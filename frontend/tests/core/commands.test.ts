/** What must hold whatever command is run on whatever document. */
import { expect, it } from "vitest";
import {
  assignType,
  deleteSelection,
  fillHoles,
  mergeSelection,
  newCell,
  redo,
  resizeBrush,
  toggleMode,
  typeUntyped,
  undo,
  type Command,
} from "../../src/core/commands";
import { measure, openDocument, type MaskDocument } from "../../src/core/document";
import { openState, transact, type EditorState } from "../../src/core/state";
import { chance, picture, rowsOf } from "./drawing";

function run(state: EditorState, ...commands: Command[]): EditorState {
  let current = state;
  for (const command of commands) {
    command(current, (transaction) => {
      current = transact(current, transaction);
    });
  }
  return current;
}

const selected = (state: EditorState, ...labels: number[]): EditorState =>
  transact(state, { kind: "select", selection: new Set(labels) });

/** Rings in rings, some of them torn, with scattered pixels of other cells. */
function nested(random: () => number): MaskDocument {
  const side = 24;
  const torn = Array.from({ length: side }, () => random() < 0.3);
  const flat = new Uint32Array(side * side);
  for (let at = 0; at < flat.length; at++) {
    const x = at % side;
    const y = Math.floor(at / side);
    const depth = Math.min(x, y, side - 1 - x, side - 1 - y);
    const onRing = depth % 2 === 1 && !(torn[depth] && random() < 0.1);
    if (onRing) flat[at] = (depth + 1) / 2;
    else if (random() < 0.03) flat[at] = 7 + Math.floor(random() * 3);
  }
  return openDocument(flat, { width: side, height: side }, []);
}

it("areas and boxes are those of the pixels after every command", () => {
  const commands: readonly Command[] = [
    fillHoles,
    fillHoles,
    deleteSelection,
    mergeSelection,
    toggleMode,
    assignType([1, 2], "HEK"),
    typeUntyped("N2a"),
    undo,
    undo,
    redo,
  ];
  for (let seed = 0; seed < 60; seed++) {
    const random = chance(seed);
    let state = openState(nested(random));
    for (let step = 0; step < 25; step++) {
      const labels = [1, 2, 3, 4, 5, 6, 7, 8, 9].filter(() => random() < 0.5);
      const command = commands[Math.floor(random() * commands.length)] as Command;
      state = run(selected(state, ...labels), command);
      const { doc } = state;
      const afresh = measure(doc.labels.flat(), doc.labels.width);
      expect([...doc.geometry.entries()]).toEqual([...afresh.entries()]);
    }
  }
});

const RINGS = ["1111111", "1.....1", "1.222.1", "1.2.2.1", "1.222.1", "1.....1", "1111111"];

it("filling a ring in a ring gives each its own inside", () => {
  const state = run(selected(openState(picture(RINGS)), 1, 2), fillHoles);
  expect(rowsOf(state.doc)).toEqual([
    ...["1111111", "1111111", "1122211", "1122211", "1122211"],
    ...["1111111", "1111111"],
  ]);
  expect(rowsOf(run(state, undo).doc)).toEqual(RINGS);
});

it("filling over other cells leaves no cell without pixels", () => {
  const before = selected(openState(picture(RINGS), new Map(), { mode: "overwrite" }), 1, 2);
  const state = run(before, fillHoles);
  expect([...state.doc.geometry.entries()].map(([label, { area }]) => [label, area])).toEqual([
    [1, 49],
  ]);
  expect([...state.selection]).toEqual([1]);
});

it("merged into a cell without a type, the type is one given by hand, else the largest's", () => {
  const rows = ["1111.222.33.4"];
  const model = { type: "HEK", source: "model" } as const;
  const byHand = { type: "N2a", source: "human" } as const;
  const merged = (...metas: [number, typeof model | typeof byHand][]) => {
    const state = openState(picture(rows, metas));
    return run(selected(state, 4, 3, 2, 1), mergeSelection).doc.meta.get(1);
  };
  expect(merged([2, model], [4, byHand])).toEqual(byHand);
  expect(merged([2, model], [3, { ...model, type: "N2a" } as never])).toEqual(model);
  expect(merged()).toEqual({ type: null, source: "" });
});

it("a new cell asked for twice is not asked for", () => {
  const asked = run(openState(picture(["1"])), newCell);
  expect(asked.options.startNew).toBe(true);
  expect(run(asked, newCell).options.startNew).toBe(false);
});

it("a brush is never larger or smaller than its limits, however it is resized", () => {
  const state = openState(picture(["1"]), new Map(), { diameter: 401 });
  expect(state.options.diameter).toBe(400);
  expect(resizeBrush(1)(state)).toBe(false);
  const set = transact(state, { kind: "set", options: { diameter: 0 } });
  expect(set.options.diameter).toBe(1);
});
