/** Commands that correct cells as wholes: split, grow, shrink, take apart, restore, add. */
import { assignType, type Command } from "./commands";
import type { CellMeta } from "./document";
import type { Point, Span } from "./geometry";
import { growCells, shrinkCells } from "./morphology";
import { GESTURE } from "./origin";
import { paintable, paintSpans } from "./paint";
import { connectedPieces, divide, freePiece, withoutStrays, type Division } from "./pieces";
import { asModelled } from "./restore";
import { splitByLine, splitBySeeds } from "./split";
import type { EditorState } from "./state";
import { CellsStep, type Step } from "./steps";
import { spansOf } from "./windows";

/** Cut every cell that a drawn line crosses. */
export function splitAlong(line: readonly Point[]): Command {
  return (state, dispatch) => dividing(GESTURE.split, () => splitByLine(state.doc, line), dispatch);
}

/** Divide every cell with two seeds or more among them. */
export function splitFrom(seeds: readonly Point[]): Command {
  return (state, dispatch) =>
    dividing(
      GESTURE.split,
      () => splitBySeeds(state.doc, seeds, state.reference.cytoplasm),
      dispatch,
    );
}

/** The pieces of each cell become cells of its type. */
export function separatePieces(cells: ReadonlySet<number>): Command {
  return (state, dispatch) => {
    const broken = inPieces(state, cells);
    if (broken.length === 0 || dispatch === undefined) return broken.length > 0;
    const partitions = broken
      .map((label) => connectedPieces(state.doc, label))
      .filter((partition) => partition !== null);
    return dividing(GESTURE.separate, () => divide(state.doc, partitions), dispatch);
  };
}

function dividing(
  name: string,
  division: () => Division,
  dispatch: Parameters<Command>[1],
): boolean {
  const { steps, labels } = division();
  if (steps.length === 0) return false;
  dispatch?.({ kind: "edit", name, steps, selection: labels });
  return true;
}

/** Erase all but the largest piece of each cell. */
export function dropStrays(cells: ReadonlySet<number>): Command {
  return (state, dispatch) => {
    const broken = inPieces(state, cells);
    if (broken.length === 0 || dispatch === undefined) return broken.length > 0;
    const steps = broken
      .map((label) => withoutStrays(state.doc, label))
      .filter((step) => step !== null);
    dispatch({ kind: "edit", name: "Drop stray pieces", steps });
    return true;
  };
}

function inPieces(state: EditorState, cells: ReadonlySet<number>): number[] {
  return [...cells].filter((label) => state.fragments.has(label));
}

export const growSelection: Command = (state, dispatch) => {
  const cells = living(state);
  if (cells.size === 0 || dispatch === undefined) return cells.size > 0;
  const steps = growCells(state.doc, cells, state.options.mode);
  if (steps.length > 0) dispatch({ kind: "edit", name: `Grow ${counted(cells.size)}`, steps });
  return steps.length > 0;
};

/** A cell that vanishes is named in the entry, so that undo says what it brings back. */
export const shrinkSelection: Command = (state, dispatch) => {
  const cells = living(state);
  if (cells.size === 0 || dispatch === undefined) return cells.size > 0;
  const steps = shrinkCells(state.doc, cells);
  if (steps.length === 0) return false;
  const after = steps.reduce((doc, step) => step.apply(doc), state.doc);
  const gone = [...cells].filter((label) => after.geometry.get(label) === undefined).length;
  const name = `Shrink ${counted(cells.size)}${gone > 0 ? `, ${gone} to nothing` : ""}`;
  dispatch({ kind: "edit", name, steps });
  return true;
};

function living(state: EditorState): Set<number> {
  return new Set(
    [...state.selection].filter((label) => state.doc.geometry.get(label) !== undefined),
  );
}

function counted(cells: number): string {
  return cells === 1 ? "cell" : `${cells} cells`;
}

/** The command that gives all cells a type by hand. */
export function typeAll(type: string): Command {
  return (state, dispatch) => {
    const labels = [...state.doc.geometry.entries()].map(([label]) => label);
    return assignType(labels, type)(state, dispatch);
  };
}

export function typeSelection(type: string): Command {
  return (state, dispatch) => assignType(state.selection, type)(state, dispatch);
}

export interface Addition {
  readonly name: string;
  readonly meta: CellMeta;
  /** Of several free pieces the one that holds this point is taken; null: the largest. */
  readonly at: Point | null;
  /** The number of the new cell, when it must be a certain unused one. */
  readonly label?: number;
}

/** These pixels, as far as they are free, become a new cell. */
export function addCell(spans: readonly Span[], addition: Addition): Command {
  return (state, dispatch) => {
    const { doc, options } = state;
    const { name, meta, at, label = doc.highest + 1 } = addition;
    const rule = paintable(options.mode);
    const paint = paintSpans(doc.labels, freePiece(doc.labels, spans, { rule, at }), label, rule);
    if (paint.isEmpty) return false;
    const before = doc.meta.get(label) ?? null;
    const entry = new CellsStep([{ label, before, after: before ?? meta }]);
    const steps: Step[] = before === null ? [entry, paint] : [paint];
    dispatch?.({ kind: "edit", name, steps, selection: new Set([label]) });
    return true;
  };
}

/** Of more selected cells than these it is not worked out beforehand whether one would change. */
const MANY = 8;

/**
 * The selected cells, else the one at a point, become what the model saw there; where the point
 * lies on no cell, the model's own cell is added.
 */
export function restoreFromModel(at: Point | null): Command {
  return (state, dispatch) => {
    const { doc, options, reference } = state;
    const { model } = reference;
    if (model === null) return false;
    const x = Math.floor(at?.x ?? -1);
    const y = Math.floor(at?.y ?? -1);
    const under = doc.labels.at(x, y);
    if (dispatch === undefined && state.selection.size > MANY) return true;
    for (const cells of [state.selection, new Set(under === 0 ? [] : [under])]) {
      const steps = asModelled(doc, model, cells, options.mode);
      if (steps.length === 0) continue;
      dispatch?.({ kind: "edit", name: GESTURE.restore, steps });
      return true;
    }
    const instance = under === 0 ? model.labels.at(x, y) : 0;
    return instance !== 0 && addInstance(instance, at)(state, dispatch);
  };
}

/** The model's cell again under its own number where that is known here and without pixels. */
function addInstance(instance: number, at: Point | null): Command {
  return (state, dispatch) => {
    const { model } = state.reference;
    const box = model?.geometry.get(instance)?.box;
    if (model === null || box === undefined) return false;
    const known = state.evidence.has(instance) && !state.doc.geometry.get(instance);
    const addition = {
      name: GESTURE.restore,
      meta: model.meta.get(instance) ?? state.options.brushMeta,
      at,
      ...(known ? { label: instance } : {}),
    };
    return addCell(spansOf(model.labels, box, instance), addition)(state, dispatch);
  };
}
