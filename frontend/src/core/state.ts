/** The editor's whole state as one value, and the transactions that change it. */
import type { CellMeta, MaskDocument } from "./document";
import type { Evidence } from "./evidence";
import {
  applySteps,
  closeGesture,
  EMPTY_HISTORY,
  invertSteps,
  type Gesture,
  type History,
} from "./history";
import type { Mode } from "./paint";
import { NO_REFERENCE, type Reference } from "./reference";
import { fragmented, pieceCount } from "./regions";
import type { Step } from "./steps";
import type { Placement } from "./thresholds";

export interface Options {
  readonly mode: Mode;
  /** Brush and eraser diameter in px. */
  readonly diameter: number;
  /** What a newly drawn cell is. */
  readonly brushMeta: CellMeta;
  /** What the type brush gives; null takes types away. */
  readonly paintType: string | null;
  /** The next stroke draws a new cell even where it starts on one. */
  readonly startNew: boolean;
}

export interface EditorState {
  readonly doc: MaskDocument;
  readonly selection: ReadonlySet<number>;
  readonly history: History;
  readonly options: Options;
  readonly evidence: ReadonlyMap<number, Evidence>;
  /** The image and the model's masks; the same as long as the image is open. */
  readonly reference: Reference;
  /** Cells that lie in more than one piece. */
  readonly fragments: ReadonlySet<number>;
  /** Rises with every change of the document, undo included. */
  readonly revision: number;
}

export type Transaction =
  | {
      readonly kind: "edit";
      readonly name: string;
      readonly steps: readonly Step[];
      readonly selection?: ReadonlySet<number>;
      /** The gesture goes on: further edits join it until "end" or "cancel". */
      readonly open?: boolean;
      /** The steps put the segmenter's masks at other thresholds into the document. */
      readonly placement?: Placement;
      /** Meant for all of the image, also where somebody works on a region of it. */
      readonly everywhere?: boolean;
    }
  | { readonly kind: "end" }
  | { readonly kind: "cancel" }
  | { readonly kind: "undo" }
  | { readonly kind: "redo" }
  | { readonly kind: "select"; readonly selection: ReadonlySet<number> }
  | { readonly kind: "set"; readonly options: Partial<Options> };

export type Dispatch = (transaction: Transaction) => void;

export const DEFAULT_OPTIONS: Options = {
  mode: "protect",
  diameter: 12,
  brushMeta: { type: null, source: "" },
  paintType: null,
  startNew: false,
};

const DIAMETERS = { least: 1, most: 400 };

/** The nearest diameter that a brush can have. */
export function brushDiameter(wanted: number): number {
  if (!Number.isFinite(wanted)) return DEFAULT_OPTIONS.diameter;
  return Math.min(DIAMETERS.most, Math.max(DIAMETERS.least, Math.round(wanted)));
}

export function openState(
  doc: MaskDocument,
  evidence: ReadonlyMap<number, Evidence> = new Map(),
  options: Partial<Options> = {},
  reference: Reference = NO_REFERENCE,
): EditorState {
  return {
    doc,
    selection: new Set(),
    history: EMPTY_HISTORY,
    options: withinLimits({ ...DEFAULT_OPTIONS, ...options }),
    evidence,
    reference,
    fragments: fragmented(doc.labels.flat(), doc.labels.width),
    revision: 0,
  };
}

export function transact(state: EditorState, transaction: Transaction): EditorState {
  switch (transaction.kind) {
    case "edit":
      return edit(state, transaction);
    case "end":
      return end(state);
    case "cancel":
      return cancel(state);
    case "undo":
      return undo(end(state));
    case "redo":
      return redo(end(state));
    case "select":
      return withSelection(state, transaction.selection);
    case "set":
      return { ...state, options: withinLimits({ ...state.options, ...transaction.options }) };
  }
}

function withinLimits(options: Options): Options {
  return { ...options, diameter: brushDiameter(options.diameter) };
}

function edit(
  before: EditorState,
  transaction: Extract<Transaction, { kind: "edit" }>,
): EditorState {
  const state = before.history.open?.name === transaction.name ? before : end(before);
  const { open } = state.history;
  const { placement } = transaction;
  const doc = applySteps(state.doc, transaction.steps);
  const selection = kept(state.selection, transaction.selection ?? state.selection);
  const gesture: Gesture = {
    name: transaction.name,
    steps: [...(open?.steps ?? []), ...transaction.steps],
    selectionBefore: open?.selectionBefore ?? state.selection,
    selectionAfter: selection,
    fragmentsBefore: state.fragments,
    fragmentsAfter: state.fragments,
    ...(placement && { applied: { ...placement, before: state.doc, after: doc } }),
  };
  const history = { ...state.history, open: gesture };
  const revision = state.revision + Number(doc !== state.doc);
  const next = { ...state, doc, selection, history, revision };
  return transaction.open === true ? next : end(next);
}

function end(state: EditorState): EditorState {
  const { open } = state.history;
  if (open === null) return state;
  const selection = living(state.doc, state.selection);
  const fragments = recount(state, open.steps);
  const closed = closeGesture({
    ...state.history,
    open: { ...open, selectionAfter: selection, fragmentsAfter: fragments },
  });
  return { ...state, selection, history: closed, fragments };
}

/** A cancelled gesture leaves no trace: neither in the document nor in the history. */
function cancel(state: EditorState): EditorState {
  const { open } = state.history;
  if (open === null) return state;
  return {
    ...state,
    doc: applySteps(state.doc, invertSteps(open.steps)),
    selection: open.selectionBefore,
    history: { ...state.history, open: null },
    revision: state.revision + 1,
  };
}

function undo(state: EditorState): EditorState {
  const gesture = state.history.done.at(-1);
  if (gesture === undefined) return state;
  const { done, undone } = state.history;
  return {
    ...state,
    doc: applySteps(state.doc, invertSteps(gesture.steps)),
    selection: gesture.selectionBefore,
    fragments: gesture.fragmentsBefore,
    history: { done: done.slice(0, -1), undone: [...undone, gesture], open: null },
    revision: state.revision + 1,
  };
}

function redo(state: EditorState): EditorState {
  const gesture = state.history.undone.at(-1);
  if (gesture === undefined) return state;
  const { done, undone } = state.history;
  return {
    ...state,
    doc: applySteps(state.doc, gesture.steps),
    selection: gesture.selectionAfter,
    fragments: gesture.fragmentsAfter,
    history: { done: [...done, gesture], undone: undone.slice(0, -1), open: null },
    revision: state.revision + 1,
  };
}

function withSelection(state: EditorState, wanted: ReadonlySet<number>): EditorState {
  const selection = kept(state.selection, living(state.doc, wanted));
  if (selection === state.selection) return state;
  return { ...state, selection };
}

/** The present set where the wanted one is equal: who compares references sees no change. */
function kept(present: ReadonlySet<number>, wanted: ReadonlySet<number>): ReadonlySet<number> {
  const same = present.size === wanted.size && [...wanted].every((label) => present.has(label));
  return same ? present : wanted;
}

function living(doc: MaskDocument, labels: ReadonlySet<number>): ReadonlySet<number> {
  const alive = [...labels].filter((label) => doc.geometry.get(label) !== undefined);
  return alive.length === labels.size ? labels : new Set(alive);
}

/** Only cells whose pixels changed can have come apart or grown together. */
function recount(state: EditorState, steps: readonly Step[]): ReadonlySet<number> {
  const fragments = new Set(state.fragments);
  const touched = new Set(steps.flatMap((step) => [...step.touched()]));
  for (const label of touched) {
    if (pieceCount(state.doc, label) > 1) fragments.add(label);
    else fragments.delete(label);
  }
  return fragments;
}
