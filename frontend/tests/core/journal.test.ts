/** A session written down and replayed is the same session: document, history and all. */
import { describe, expect, it } from "vitest";
import { deleteSelection, redo, typeUntyped, undo } from "../../src/core/commands";
import { sameDocument, type MaskDocument } from "../../src/core/document";
import { applySteps, EMPTY_HISTORY, GESTURES_KEPT } from "../../src/core/history";
import {
  entriesBetween,
  entriesOf,
  forgottenBetween,
  replay,
  type Entry,
} from "../../src/core/journal";
import { openState, transact, type EditorState, type Transaction } from "../../src/core/state";
import { chance, gridOfCells, randomStroke } from "./drawing";

const SIZE = 64;

function edited(state: EditorState, random: () => number): EditorState {
  let current = state;
  const dispatch = (transaction: Transaction): void => {
    current = transact(current, transaction);
  };
  const drawn = random();
  if (drawn < 0.2) undo(current, dispatch);
  else if (drawn < 0.3) redo(current, dispatch);
  else if (drawn < 0.4) {
    const labels = [...current.doc.geometry.entries()].map(([label]) => label);
    dispatch({ kind: "select", selection: new Set(labels.filter(() => random() < 0.2)) });
    deleteSelection(current, dispatch);
  } else if (drawn < 0.5) typeUntyped(random() < 0.5 ? "HEK" : "N2a")(current, dispatch);
  else {
    const steps = [randomStroke(current.doc, random)];
    dispatch({ kind: "edit", name: "Stroke", steps, open: true });
    dispatch({ kind: random() < 0.1 ? "cancel" : "end" });
  }
  return current;
}

function expectSame(found: MaskDocument, expected: MaskDocument): void {
  expect(sameDocument(found, expected)).toBe(true);
  expect([...found.meta.entries()]).toEqual([...expected.meta.entries()]);
  expect([...found.geometry.entries()]).toEqual([...expected.geometry.entries()]);
  expect(found.highest).toBe(expected.highest);
}

function expectSameSession(found: EditorState, expected: EditorState): void {
  expectSame(found.doc, expected.doc);
  expect(found.history.done.length).toBe(expected.history.done.length);
  expect(found.history.undone.length).toBe(expected.history.undone.length);
  expect([...found.fragments].sort()).toEqual([...expected.fragments].sort());
  let [a, b] = [found, expected];
  while (b.history.done.length > 0) {
    [a, b] = [transact(a, { kind: "undo" }), transact(b, { kind: "undo" })];
    expect([...a.selection]).toEqual([...b.selection]);
  }
  expectSame(a.doc, b.doc);
  while (b.history.undone.length > 0) {
    [a, b] = [transact(a, { kind: "redo" }), transact(b, { kind: "redo" })];
  }
  expectSame(a.doc, b.doc);
}

/** What IndexedDB would give back. */
const stored = (entries: readonly Entry[]): Entry[] => structuredClone([...entries]);

describe("random edits with undo and redo, written down as they happen", () => {
  it("replayed give the same document and the same history", () => {
    for (let seed = 0; seed < 12; seed++) {
      const random = chance(300 + seed);
      const start = openState(gridOfCells(SIZE, 3));
      let state = start;
      const entries: Entry[] = [];
      for (let edit = 0; edit < 60; edit++) {
        const before = state.history;
        // Several at once too: the page may be told late.
        for (let several = random() * 4; several > 0; several--) state = edited(state, random);
        entries.push(...entriesBetween(before, state.history));
      }
      expectSameSession(replay(openState(gridOfCells(SIZE, 3)), stored(entries)).state, state);
    }
  });

  it("at any moment the history alone, written whole, replays to the same", () => {
    const random = chance(8);
    let state = openState(gridOfCells(SIZE, 3));
    for (let edit = 0; edit < 80; edit++) state = edited(state, random);
    const { state: again } = replay(
      openState(gridOfCells(SIZE, 3)),
      stored(entriesOf(state.history)),
    );
    expectSameSession(again, state);
  });
});

it("one stroke is one entry, with its pixels as packed numbers", () => {
  const start = openState(gridOfCells(SIZE, 3));
  const steps = [randomStroke(start.doc, chance(4))];
  const after = transact(start, { kind: "edit", name: "Stroke", steps });
  const entries = entriesBetween(EMPTY_HISTORY, after.history);
  expect(entries).toMatchObject([{ kind: "do", gesture: { name: "Stroke" } }]);
  const step = entries[0]?.kind === "do" ? entries[0].gesture.steps[0] : undefined;
  expect(step?.kind === "runs" && step.runs).toBeInstanceOf(Uint32Array);
});

it("gestures that a long history gives up move on the document it begins with", () => {
  const random = chance(21);
  let state = openState(gridOfCells(SIZE, 3));
  let root = state.doc;
  for (let edit = 0; edit < GESTURES_KEPT + 40; edit++) {
    const before = state.history;
    const steps = [randomStroke(state.doc, random)];
    state = transact(state, { kind: "edit", name: `Stroke ${edit}`, steps });
    root = forgottenBetween(before, state.history).reduce(
      (doc, gesture) => applySteps(doc, gesture.steps),
      root,
    );
  }
  expect(state.history.done).toHaveLength(GESTURES_KEPT);
  const { state: again } = replay(openState(root), stored(entriesOf(state.history)));
  expectSameSession(again, state);
});

it("replayed, a long session says what its shortened history begins with", () => {
  const random = chance(22);
  const start = openState(gridOfCells(SIZE, 3));
  let state = start;
  const entries: Entry[] = [];
  for (let edit = 0; edit < GESTURES_KEPT + 40; edit++) {
    const before = state.history;
    const steps = [randomStroke(state.doc, random)];
    state = transact(state, { kind: "edit", name: `Stroke ${edit}`, steps });
    entries.push(...entriesBetween(before, state.history));
  }
  const { state: again, root } = replay(start, stored(entries));
  expectSame(replay(openState(root), entriesOf(again.history)).state.doc, state.doc);
});

it("everything undone and something else drawn instead is written as that", () => {
  const start = openState(gridOfCells(SIZE, 2));
  const erase = (state: EditorState, label: number): EditorState => {
    const chosen = transact(state, { kind: "select", selection: new Set([label]) });
    let erased = chosen;
    deleteSelection(chosen, (transaction) => (erased = transact(chosen, transaction)));
    return erased;
  };
  const once = erase(start, 1);
  const other = erase(transact(once, { kind: "undo" }), 2);
  const kinds = entriesBetween(once.history, other.history).map(({ kind }) => kind);
  expect(kinds).toEqual(["undo", "do"]);
});
