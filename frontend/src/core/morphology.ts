/** Cells grown and shrunk by a pixel: by what lies beside it (up, down, left, right). */
import type { MaskDocument } from "./document";
import { grow, intersect, type Box } from "./geometry";
import type { Mode } from "./paint";
import type { PaintStep } from "./steps";
import { repaint } from "./windows";

interface Patch {
  readonly box: Box;
  readonly width: number;
  readonly labels: Uint32Array;
}

/**
 * Each cell takes the pixels beside it: the background's, in overwrite mode also those of cells
 * that are not growing. A pixel between two of them goes to the one with more pixels beside it,
 * of equals to the lower label, so that the result does not depend on any order.
 */
export function growCells(
  doc: MaskDocument,
  growing: ReadonlySet<number>,
  mode: Mode,
): PaintStep[] {
  const mayTake = (label: number): boolean =>
    label === 0 || (mode === "overwrite" && !growing.has(label));
  return eachCell(doc, growing, (patch, label) => {
    const after = patch.labels.slice();
    for (let at = 0; at < after.length; at++) {
      if (!mayTake(patch.labels[at] as number) || !hasBeside(patch, at, label, true)) continue;
      if (winnerAt(patch, at, growing) === label) after[at] = label;
    }
    return after;
  });
}

/**
 * Each cell loses the pixels beside which it does not go on. The image's border is no end: a
 * cell cut by it goes on outside. What is one or two pixels wide vanishes.
 */
export function shrinkCells(doc: MaskDocument, shrinking: ReadonlySet<number>): PaintStep[] {
  return eachCell(doc, shrinking, (patch, label) => {
    const after = patch.labels.slice();
    for (let at = 0; at < after.length; at++) {
      if (patch.labels[at] !== label) continue;
      if (hasBeside(patch, at, label, false)) after[at] = 0;
    }
    return after;
  });
}

/** One step per cell that changes. `change` sees the cell with two pixels around it. */
function eachCell(
  doc: MaskDocument,
  cells: ReadonlySet<number>,
  change: (patch: Patch, label: number) => Uint32Array,
): PaintStep[] {
  const steps: PaintStep[] = [];
  for (const label of cells) {
    const geometry = doc.geometry.get(label);
    if (geometry === undefined) continue;
    // Two: the rivals of a pixel beside the cell must be seen as well.
    const box = intersect(grow(geometry.box, 2), doc.labels.box) ?? geometry.box;
    const patch = { box, width: box.x1 - box.x0, labels: doc.labels.read(box) };
    const step = repaint(doc.labels, box, change(patch, label));
    if (!step.isEmpty) steps.push(step);
  }
  return steps;
}

/** Is one of the pixels beside of this label (true), or of another one (false)? */
function hasBeside({ labels, width }: Patch, at: number, label: number, same: boolean): boolean {
  const x = at % width;
  return (
    (x > 0 && (labels[at - 1] === label) === same) ||
    (x < width - 1 && (labels[at + 1] === label) === same) ||
    (at >= width && (labels[at - width] === label) === same) ||
    (at < labels.length - width && (labels[at + width] === label) === same)
  );
}

/** The labels above, left, right and below, as far as they are in the patch. */
function beside({ labels, width }: Patch, at: number): number[] {
  const x = at % width;
  const found: number[] = [];
  if (at >= width) found.push(labels[at - width] as number);
  if (x > 0) found.push(labels[at - 1] as number);
  if (x < width - 1) found.push(labels[at + 1] as number);
  if (at < labels.length - width) found.push(labels[at + width] as number);
  return found;
}

function winnerAt(patch: Patch, at: number, growing: ReadonlySet<number>): number {
  const rivals = beside(patch, at).filter((label) => growing.has(label));
  let winner = 0;
  let most = 0;
  for (const label of rivals) {
    const count = rivals.filter((rival) => rival === label).length;
    if (count > most || (count === most && label < winner)) {
      winner = label;
      most = count;
    }
  }
  return winner;
}
