/** Keeps areas and boxes exact after pixels changed, at the cost of the change only. */
import type { CellGeometry } from "./document";
import { unite, type Box } from "./geometry";
import type { LabelImage } from "./labelImage";
import { FIELDS, type Runs } from "./runs";
import type { Table } from "./table";

interface Change {
  area: number;
  gained: Box | null;
  lost: Box | null;
}

/** Geometry after `runs` were applied; `labels` is the image afterwards. */
export function remeasure(
  geometry: Table<CellGeometry>,
  labels: LabelImage,
  runs: Runs,
): Table<CellGeometry> {
  const updates: [number, CellGeometry | undefined][] = [];
  for (const [label, change] of changesOf(runs, labels.width)) {
    updates.push([label, updated(geometry.get(label), label, change, labels)]);
  }
  return geometry.with(updates);
}

function changesOf(runs: Runs, width: number): Map<number, Change> {
  const changes = new Map<number, Change>();
  const changeOf = (label: number): Change => {
    let change = changes.get(label);
    if (change === undefined) changes.set(label, (change = { area: 0, gained: null, lost: null }));
    return change;
  };
  for (let at = 0; at < runs.length; at += FIELDS) {
    const start = runs[at] as number;
    const length = runs[at + 1] as number;
    const y = Math.floor(start / width);
    const x0 = start - y * width;
    const box = { x0, y0: y, x1: x0 + length, y1: y + 1 };
    const loser = changeOf(runs[at + 2] as number);
    loser.area -= length;
    loser.lost = loser.lost === null ? box : unite(loser.lost, box);
    const winner = changeOf(runs[at + 3] as number);
    winner.area += length;
    winner.gained = winner.gained === null ? box : unite(winner.gained, box);
  }
  changes.delete(0);
  return changes;
}

function updated(
  known: CellGeometry | undefined,
  label: number,
  change: Change,
  labels: LabelImage,
): CellGeometry | undefined {
  const area = (known?.area ?? 0) + change.area;
  if (area <= 0) return undefined;
  let box = known?.box ?? (change.gained as Box);
  if (change.gained !== null) box = unite(box, change.gained);
  if (change.lost !== null && touchesEdge(change.lost, box)) box = tighten(labels, label, box);
  return { area, box };
}

function touchesEdge(lost: Box, box: Box): boolean {
  return lost.x0 <= box.x0 || lost.y0 <= box.y0 || lost.x1 >= box.x1 || lost.y1 >= box.y1;
}

/** The smallest box of a label that has pixels inside `box`. */
export function tighten(labels: LabelImage, label: number, box: Box): Box {
  let { x0, y0, x1, y1 } = box;
  while (y0 < y1 - 1 && !labels.rowHas(label, y0, x0, x1)) y0++;
  while (y1 > y0 + 1 && !labels.rowHas(label, y1 - 1, x0, x1)) y1--;
  while (x0 < x1 - 1 && !labels.columnHas(label, x0, y0, y1)) x0++;
  while (x1 > x0 + 1 && !labels.columnHas(label, x1 - 1, y0, y1)) x1--;
  return { x0, y0, x1, y1 };
}
