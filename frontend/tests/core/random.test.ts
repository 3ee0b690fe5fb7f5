/** Thousands of random edits: whatever is done, undo takes back, and measures stay true. */
import { describe, expect, it } from "vitest";
import {
  assignType,
  deleteSelection,
  fillHoles,
  mergeSelection,
  redo,
  toggleMode,
  typeUntyped,
  undo,
  type Command,
} from "../../src/core/commands";
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
import { measure, sameDocument, type MaskDocument } from "../../src/core/document";
import type { Point } from "../../src/core/geometry";
import { anyLabel, background, paintSpans } from "../../src/core/paint";
import { diskSpans } from "../../src/core/raster";
import { referenceOf } from "../../src/core/reference";
import { fragmented } from "../../src/core/regions";
import { openState, transact, type EditorState, type Transaction } from "../../src/core/state";
import { mergeSteps, stepFromJson } from "../../src/core/steps";
import { chance, gridOfCells, randomStroke } from "./drawing";

const SIZE = 72;
type Random = () => number;

function opened(random: Random): EditorState {
  const model = gridOfCells(SIZE, 3);
  const values = Uint16Array.from({ length: SIZE * SIZE }, () => Math.floor(random() * 5000));
  const image = { width: SIZE, height: SIZE, channels: [values], roles: ["cytoplasm"] };
  return { ...openState(gridOfCells(SIZE, 3)), reference: referenceOf(image, model) };
}

const point = (random: Random): Point => ({
  x: random() * (SIZE + 8) - 4,
  y: random() * (SIZE + 8) - 4,
});

function someLabels(state: EditorState, random: Random): Set<number> {
  const labels = [...state.doc.geometry.entries()].map(([label]) => label);
  // A few: merges and deletions must leave something to work on.
  return new Set(labels.filter(() => random() < 2 / labels.length));
}

const TYPES = ["HEK", "N2a", "U2OS"];
const someType = (random: Random): string => TYPES[Math.floor(random() * TYPES.length)] ?? "HEK";

/** Everything a hand can do that is one command. */
const COMMANDS: ((state: EditorState, random: Random) => Command)[] = [
  () => deleteSelection,
  () => mergeSelection,
  () => fillHoles,
  () => growSelection,
  () => shrinkSelection,
  () => toggleMode,
  (state) => dropStrays(state.fragments),
  (state) => separatePieces(state.fragments),
  (state, random) =>
    assignType(someLabels(state, random), random() < 0.3 ? null : someType(random)),
  (_, random) => typeUntyped(someType(random)),
  (_, random) => typeAll(someType(random)),
  (_, random) => typeSelection(someType(random)),
  (_, random) => splitAlong([point(random), point(random), point(random)]),
  (_, random) => splitFrom(Array.from({ length: 6 }, () => point(random))),
  (_, random) => restoreFromModel(random() < 0.2 ? null : point(random)),
  (state, random) => {
    const spans = diskSpans(point(random), 2 + random() * 8, state.doc.labels.box);
    const meta = { type: someType(random), source: "human" } as const;
    return addCell(spans, { name: "Add", meta, at: random() < 0.5 ? null : point(random) });
  },
];

/** A stroke of several samples as tools make it, given up now and then. */
function stroke(state: EditorState, random: Random): EditorState {
  let current = state;
  const samples = 1 + Math.floor(random() * 4);
  for (let sample = 0; sample < samples; sample++) {
    const disk = diskSpans(point(random), random() * 9, current.doc.labels.box);
    const rule = random() < 0.5 ? background : anyLabel;
    const label = Math.floor(random() * (current.doc.highest + 1));
    const steps = [paintSpans(current.doc.labels, disk, label, rule)];
    current = transact(current, { kind: "edit", name: "Stroke", steps, open: true });
  }
  return transact(current, { kind: random() < 0.2 ? "cancel" : "end" });
}

function step(state: EditorState, random: Random): EditorState {
  let current = state;
  const dispatch = (transaction: Transaction): void => {
    current = transact(current, transaction);
  };
  dispatch({ kind: "select", selection: someLabels(current, random) });
  const drawn = random();
  if (drawn < 0.3) return stroke(current, random);
  if (drawn < 0.4) undo(current, dispatch);
  else if (drawn < 0.45) redo(current, dispatch);
  else COMMANDS[Math.floor(random() * COMMANDS.length)]?.(current, random)(current, dispatch);
  return current;
}

function expectTrueMeasures(state: EditorState): void {
  const { labels, geometry } = state.doc;
  const flat = labels.flat();
  expect([...geometry.entries()]).toEqual([...measure(flat, SIZE).entries()]);
  expect([...state.fragments].sort()).toEqual([...fragmented(flat, SIZE)].sort());
}

function undoneAll(state: EditorState): EditorState {
  let current = state;
  while (current.history.done.length > 0) {
    current = transact(current, { kind: "undo" });
  }
  return current;
}

function expectSame(found: MaskDocument, expected: MaskDocument): void {
  expect(sameDocument(found, expected)).toBe(true);
  expect([...found.geometry.entries()]).toEqual([...expected.geometry.entries()]);
  expect([...found.meta.entries()]).toEqual([...expected.meta.entries()]);
}

describe("thousands of random edits", () => {
  it("undone, all of them, leave the document as it was opened; redone, as it was left", () => {
    let edits = 0;
    for (let seed = 0; seed < 50; seed++) {
      const random = chance(9000 + seed);
      const start = opened(random);
      let state = start;
      for (let edit = 0; edit < 120; edit++) state = step(state, random);
      edits += state.history.done.length;
      const undone = undoneAll(state);
      expectSame(undone.doc, start.doc);
      expect([...undone.fragments]).toEqual([...start.fragments]);
      let again = undone;
      for (let left = state.history.done.length; left > 0; left--) {
        again = transact(again, { kind: "redo" });
      }
      expectSame(again.doc, state.doc);
      expect([...again.fragments].sort()).toEqual([...state.fragments].sort());
    }
    expect(edits).toBeGreaterThan(2000);
  });

  it("keep every measure equal to measuring anew, after each", () => {
    for (let seed = 0; seed < 10; seed++) {
      const random = chance(400 + seed);
      let state = opened(random);
      for (let edit = 0; edit < 60; edit++) {
        state = step(state, random);
        expectTrueMeasures(state);
      }
      while (state.history.done.length > 0) {
        state = transact(state, { kind: "undo" });
        expectTrueMeasures(state);
      }
    }
  });

  it("never give one label to two cells, nor a label that was used before", () => {
    const random = chance(31);
    let state = opened(random);
    let highest = state.doc.highest;
    for (let edit = 0; edit < 400; edit++) {
      const before = state;
      state = step(state, random);
      expect(state.doc.highest).toBeGreaterThanOrEqual(highest);
      const fresh = [...state.doc.geometry.entries()].filter(([label]) => label > highest);
      for (const [label] of fresh) expect(before.doc.geometry.get(label)).toBeUndefined();
      highest = state.doc.highest;
    }
  });

  it("each written down, read again and applied do the same", () => {
    const random = chance(77);
    let state = opened(random);
    let copy = state.doc;
    for (let edit = 0; edit < 300; edit++) {
      const before = state.history.done.length;
      const commands = COMMANDS[edit % COMMANDS.length];
      state = transact(state, { kind: "select", selection: someLabels(state, random) });
      commands?.(state, random)(state, (transaction) => {
        state = transact(state, transaction);
      });
      if (state.history.done.length === before) continue;
      for (const written of state.history.done.at(-1)?.steps ?? []) {
        copy = stepFromJson(JSON.parse(JSON.stringify(written.toJson()))).apply(copy);
      }
      expect(sameDocument(copy, state.doc)).toBe(true);
    }
  });
});

it("what a command says without dispatch is what it does, and asking changes nothing", () => {
  const random = chance(55);
  const done = COMMANDS.map(() => 0);
  let state = opened(random);
  for (let edit = 0; edit < 1600; edit++) {
    // Anew now and then: merges and deletions leave less and less to work on.
    if (edit % 20 === 0) state = opened(random);
    state = transact(state, { kind: "select", selection: someLabels(state, random) });
    if (edit % 3 === 0) state = stroke(state, random);
    const index = edit % COMMANDS.length;
    const command = COMMANDS[index]?.(state, random);
    const before = state;
    const could = command?.(state) ?? false;
    expect(state).toBe(before);
    const did =
      command?.(state, (transaction) => {
        state = transact(state, transaction);
      }) ?? false;
    if (did) expect(could).toBe(true);
    done[index] = (done[index] ?? 0) + Number(did);
  }
  // Every command found something to do.
  expect(Math.min(...done)).toBeGreaterThan(0);
});

it("steps of any kind merge to at most one per kind with the same effect", () => {
  for (let seed = 0; seed < 10; seed++) {
    const random = chance(600 + seed);
    const start = opened(random);
    let state = start;
    for (let edit = 0; edit < 30; edit++) {
      const steps = [randomStroke(state.doc, random)];
      state = transact(state, { kind: "edit", name: `stroke ${edit}`, steps });
    }
    const all = state.history.done.flatMap(({ steps }) => steps);
    const merged = mergeSteps(all);
    expect(merged).toHaveLength(1);
    expect(
      sameDocument(
        merged.reduce((doc, each) => each.apply(doc), start.doc),
        state.doc,
      ),
    ).toBe(true);
  }
});
