/**
 * What a key or a button does. Without `dispatch` a command only says whether it could run, so
 * that a button knows whether it is enabled.
 */
import { cellOf, UNTYPED, type Cell, type CellMeta } from "./document";
import { gapSpans } from "./gaps";
import { background, paintable, paintSpans, relabelCells } from "./paint";
import { holeSpans } from "./regions";
import { brushDiameter, type Dispatch, type EditorState } from "./state";
import { CellsStep, typeStep, type Step } from "./steps";

export type Command = (state: EditorState, dispatch?: Dispatch) => boolean;

export const undo: Command = (state, dispatch) => {
  if (state.history.open !== null || state.history.done.length === 0) return false;
  dispatch?.({ kind: "undo" });
  return true;
};

export const redo: Command = (state, dispatch) => {
  if (state.history.open !== null || state.history.undone.length === 0) return false;
  dispatch?.({ kind: "redo" });
  return true;
};

export function deleteCells(labels: ReadonlySet<number>): Command {
  return (state, dispatch) => {
    const alive = [...labels].filter((label) => state.doc.geometry.get(label) !== undefined);
    if (alive.length === 0) return false;
    const name = alive.length === 1 ? "Delete cell" : `Delete ${alive.length} cells`;
    dispatch?.({ kind: "edit", name, steps: relabelCells(state.doc, alive, 0) });
    return true;
  };
}

export const deleteSelection: Command = (state, dispatch) =>
  deleteCells(state.selection)(state, dispatch);

/**
 * All cells become the largest. Its type is that of the largest that a person typed, else of the
 * largest with a type. Gaps of a pixel or two between them are closed, on background only.
 */
export function mergeCells(labels: Iterable<number>): Command {
  return (state, dispatch) => {
    const cells = livingCells(state, labels).sort((a, b) => b.area - a.area);
    const [target] = cells;
    if (target === undefined || cells.length < 2) return false;
    if (dispatch === undefined) return true;
    const merged = cells.map((cell) => cell.label);
    const steps: Step[] = relabelCells(state.doc, merged.slice(1), target.label);
    const gaps = gapSpans(state.doc, merged);
    const closing = paintSpans(state.doc.labels, gaps, target.label, background);
    if (!closing.isEmpty) steps.push(closing);
    const typing = typeStep(state.doc, [target.label], typeAmong(cells));
    if (!typing.isEmpty) steps.push(typing);
    const selection = new Set([target.label]);
    dispatch({ kind: "edit", name: `Merge ${cells.length} cells`, steps, selection });
    return true;
  };
}

export const mergeSelection: Command = (state, dispatch) =>
  mergeCells(state.selection)(state, dispatch);

function livingCells(state: EditorState, labels: Iterable<number>): Cell[] {
  return [...labels]
    .map((label) => cellOf(state.doc, label))
    .filter((cell): cell is Cell => cell !== null);
}

/** Of cells by descending size: what a person said wins over what a model guessed. */
function typeAmong(cells: readonly Cell[]): CellMeta {
  const typed = cells.filter((cell) => cell.type !== null);
  return typed.find((cell) => cell.source === "human") ?? typed[0] ?? UNTYPED;
}

/**
 * Fill what the selected cells enclose; other cells inside stay in protect mode. A cell inside
 * another one is filled first, and each on what the ones before left: no pixel goes to two cells.
 */
export const fillHoles: Command = (state, dispatch) => {
  const rule = paintable(state.options.mode);
  const steps: Step[] = [];
  let { doc } = state;
  for (const { label } of livingCells(state, state.selection).sort(bySize)) {
    const step = paintSpans(doc.labels, holeSpans(doc, label), label, rule);
    if (step.isEmpty) continue;
    if (dispatch === undefined) return true;
    steps.push(step);
    doc = step.apply(doc);
  }
  if (steps.length === 0) return false;
  dispatch?.({ kind: "edit", name: "Fill holes", steps });
  return true;
};

function bySize(a: Cell, b: Cell): number {
  const size = ({ box }: Cell): number => (box.x1 - box.x0) * (box.y1 - box.y0);
  return size(a) - size(b);
}

/** Give cells a type by hand; null takes it away. */
export function assignType(labels: Iterable<number>, type: string | null): Command {
  return (state, dispatch) => {
    const alive = livingCells(state, labels).map((cell) => cell.label);
    const step = typeStep(state.doc, alive, { type, source: "human" });
    if (step.isEmpty) return false;
    const name = type === null ? "Clear type" : `Type ${type}`;
    dispatch?.({ kind: "edit", name, steps: [step] });
    return true;
  };
}

/** Every cell without a type gets this one. */
export function typeUntyped(type: string): Command {
  return (state, dispatch) => {
    const untyped: number[] = [];
    for (const [label] of state.doc.geometry.entries()) {
      if ((state.doc.meta.get(label)?.type ?? null) === null) untyped.push(label);
    }
    return assignType(untyped, type)(state, dispatch);
  };
}

export function select(labels: Iterable<number>): Command {
  return (_state, dispatch) => {
    dispatch?.({ kind: "select", selection: new Set(labels) });
    return true;
  };
}

/** The next stroke starts a new cell; once more: it does not. */
export const newCell: Command = (state, dispatch) => {
  if (state.options.startNew) {
    dispatch?.({ kind: "set", options: { startNew: false } });
    return true;
  }
  dispatch?.({ kind: "select", selection: new Set() });
  dispatch?.({ kind: "set", options: { startNew: true } });
  return true;
};

export const toggleMode: Command = (state, dispatch) => {
  const mode = state.options.mode === "protect" ? "overwrite" : "protect";
  dispatch?.({ kind: "set", options: { mode } });
  return true;
};

/** Finer steps for small brushes: about a tenth of the diameter, at least one pixel. */
export function resizeBrush(direction: 1 | -1): Command {
  return (state, dispatch) => {
    const { diameter } = state.options;
    const step = Math.max(1, Math.round(diameter / 8));
    const next = brushDiameter(diameter + direction * step);
    if (next === diameter) return false;
    dispatch?.({ kind: "set", options: { diameter: next } });
    return true;
  };
}

const orders = new WeakMap<EditorState["evidence"], readonly number[]>();

/** All cells that a model has an opinion of, deleted ones too, most uncertain first. */
function orderOfDoubt(state: EditorState): readonly number[] {
  let order = orders.get(state.evidence);
  if (order === undefined) {
    order = [...state.evidence]
      .sort((a, b) => b[1].uncertainty - a[1].uncertainty || a[0] - b[0])
      .map(([label]) => label);
    orders.set(state.evidence, order);
  }
  return order;
}

/** Living cells with a model's opinion, most uncertain first. */
export function byUncertainty(state: EditorState): number[] {
  return orderOfDoubt(state).filter((label) => isAlive(state, label));
}

function isAlive(state: EditorState, label: number): boolean {
  return state.doc.geometry.get(label) !== undefined;
}

/** The step that enters a new cell into the table, before its first pixel is painted. */
export function newCellStep(label: number, meta: CellMeta): CellsStep {
  return new CellsStep([{ label, before: null, after: meta }]);
}
