/**
 * An editing session as it is written down: the document it began with and what was done since,
 * in order. Replayed, the entries give the same document with the same history to undo.
 */
import type { MaskDocument } from "./document";
import { applySteps, type Gesture, type History } from "./history";
import { transact, type EditorState } from "./state";
import { PaintStep, stepFromJson, type Step, type StepJson } from "./steps";
import type { Runs } from "./runs";
import type { Placement, Thresholds } from "./thresholds";

/** Runs stay numbers in a row: a list of them would be slow to store and large. */
export type PackedStep =
  { readonly kind: "runs"; readonly width: number; readonly runs: Runs } | StepJson;

export interface PackedGesture {
  readonly name: string;
  readonly steps: readonly PackedStep[];
  readonly selectionBefore: Uint32Array;
  readonly selectionAfter: Uint32Array;
  /** Only of thresholds that were applied; journals of before did not keep it. */
  readonly placement?: PackedPlacement;
}

interface PackedPlacement {
  readonly values: Thresholds;
  readonly placed: Uint32Array;
  readonly removed: Uint32Array;
}

export type Entry =
  | { readonly kind: "do"; readonly gesture: PackedGesture }
  | { readonly kind: "undo" }
  | { readonly kind: "redo" };

/** More entries than these are replaced by a later document to begin with. */
export const MOST_ENTRIES = 1000;

const UNDO: Entry = { kind: "undo" };
const REDO: Entry = { kind: "redo" };

/** Everything that was done or undone, in the order in which redo would do it. */
function timeline({ done, undone }: History): Gesture[] {
  return [...done, ...undone.toReversed()];
}

/** The oldest gestures, which a long history has given up between two moments. */
export function forgottenBetween(before: History, after: History): Gesture[] {
  const first = after.done[0] ?? after.undone.at(-1);
  const old = timeline(before);
  return first === undefined ? [] : old.slice(0, Math.max(0, old.indexOf(first)));
}

/** What leads from one moment of a session to a later one, however much happened in between. */
export function entriesBetween(before: History, after: History): Entry[] {
  const now = timeline(after);
  const forgotten = forgottenBetween(before, after).length;
  const old = timeline(before).slice(forgotten);
  let at = before.done.length - forgotten;
  let common = 0;
  while (common < Math.min(old.length, now.length) && old[common] === now[common]) common++;
  const entries: Entry[] = [];
  const moveTo = (position: number): void => {
    for (; at > position; at--) entries.push(UNDO);
    for (; at < position; at++) entries.push(REDO);
  };
  if (common < now.length) {
    moveTo(common);
    for (const gesture of now.slice(common)) entries.push({ kind: "do", gesture: pack(gesture) });
    at = now.length;
  }
  moveTo(after.done.length);
  return entries;
}

/** The whole history as entries, for a document to begin with that has none of it. */
export function entriesOf(history: History): Entry[] {
  return [
    ...timeline(history).map((gesture): Entry => ({ kind: "do", gesture: pack(gesture) })),
    ...history.undone.map((): Entry => UNDO),
  ];
}

/**
 * The state after `entries`, from one whose history is empty, and the document before the first
 * gesture of its history: a long one has given up the oldest.
 */
export function replay(
  start: EditorState,
  entries: readonly Entry[],
): { state: EditorState; root: MaskDocument } {
  let state = start;
  let root = start.doc;
  for (const entry of entries) {
    const before = state.history;
    state = replayed(state, entry);
    for (const { steps } of forgottenBetween(before, state.history)) root = applySteps(root, steps);
  }
  return { state, root };
}

function replayed(state: EditorState, entry: Entry): EditorState {
  if (entry.kind !== "do") return transact(state, { kind: entry.kind });
  const { name, steps, selectionBefore, selectionAfter, placement } = entry.gesture;
  return transact(
    { ...state, selection: new Set(selectionBefore) },
    {
      kind: "edit",
      name,
      steps: steps.map(unpackStep),
      selection: new Set(selectionAfter),
      ...(placement && { placement: unpackPlacement(placement) }),
    },
  );
}

function pack({ name, steps, selectionBefore, selectionAfter, applied }: Gesture): PackedGesture {
  return {
    name,
    steps: steps.map(packStep),
    selectionBefore: Uint32Array.from(selectionBefore),
    selectionAfter: Uint32Array.from(selectionAfter),
    ...(applied && { placement: packPlacement(applied) }),
  };
}

function packPlacement({ values, placed, removed }: Placement): PackedPlacement {
  return { values, placed: Uint32Array.from(placed), removed: Uint32Array.from(removed) };
}

function unpackPlacement({ values, placed, removed }: PackedPlacement): Placement {
  return { values, placed: new Set(placed), removed: new Set(removed) };
}

function packStep(step: Step): PackedStep {
  if (!(step instanceof PaintStep)) return step.toJson();
  return { kind: "runs", width: step.width, runs: step.runs };
}

function unpackStep(step: PackedStep): Step {
  return step.kind === "runs" ? new PaintStep(step.width, step.runs) : stepFromJson(step);
}
