/** Undo and redo by gesture: what one stroke or key did is one entry, kept as merged steps. */
import type { MaskDocument } from "./document";
import { mergeSteps, type Step } from "./steps";
import type { Applied } from "./thresholds";

export interface Gesture {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly selectionBefore: ReadonlySet<number>;
  readonly selectionAfter: ReadonlySet<number>;
  /** Cells in several pieces, kept so that undo and redo need not look for them again. */
  readonly fragmentsBefore: ReadonlySet<number>;
  readonly fragmentsAfter: ReadonlySet<number>;
  /** Set where the gesture put the segmenter's masks at other thresholds into the document. */
  readonly applied?: Applied;
}

/** `open` is the gesture in progress; its steps are applied but not yet merged. */
export interface History {
  readonly done: readonly Gesture[];
  readonly undone: readonly Gesture[];
  readonly open: Gesture | null;
}

export const EMPTY_HISTORY: History = { done: [], undone: [], open: null };
export const GESTURES_KEPT = 500;
/** Beyond this many bytes the oldest gestures go, but never the latest 200. */
export const BYTES_KEPT = 64 * 1024 * 1024;
const ALWAYS_KEPT = 200;

export function applySteps(doc: MaskDocument, steps: readonly Step[]): MaskDocument {
  return steps.reduce((current, step) => step.apply(current), doc);
}

export function invertSteps(steps: readonly Step[]): Step[] {
  return steps.map((step) => step.invert()).reverse();
}

export function bytesOf(gesture: Gesture): number {
  return gesture.steps.reduce((sum, step) => sum + step.bytes, 0);
}

/** Merge the open gesture and file it; one that changed nothing leaves no entry. */
export function closeGesture(history: History): History {
  if (history.open === null) return history;
  const gesture = { ...history.open, steps: mergeSteps(history.open.steps) };
  if (bytesOf(gesture) === 0) return { ...history, open: null };
  return { done: trim([...history.done, gesture]), undone: [], open: null };
}

function trim(done: Gesture[]): Gesture[] {
  let first = Math.max(0, done.length - GESTURES_KEPT);
  let bytes = done.slice(first).reduce((sum, gesture) => sum + bytesOf(gesture), 0);
  while (bytes > BYTES_KEPT && done.length - first > ALWAYS_KEPT) {
    bytes -= bytesOf(done[first] as Gesture);
    first++;
  }
  return first === 0 ? done : done.slice(first);
}
