/** What a correction changed in the model's cells: added, removed, reshaped, retyped. */
import { UNTYPED, type MaskDocument } from "./document";
import type { Span } from "./geometry";
import { spansOf } from "./windows";

export type Change = "added" | "removed" | "reshaped" | "retyped";
export const CHANGES: readonly Change[] = ["added", "removed", "reshaped", "retyped"];

export interface Difference {
  /** By label of the correction; a cell reshaped and retyped counts as both. */
  readonly added: ReadonlySet<number>;
  readonly reshaped: ReadonlySet<number>;
  readonly retyped: ReadonlySet<number>;
  /** By label of the model. */
  readonly removed: ReadonlySet<number>;
  /** The pixels of removed cells, and of reshaped ones as the model had them. */
  readonly removedSpans: readonly Span[];
  readonly formerSpans: readonly Span[];
}

/** Overlapping less than this (intersection over union), two cells are not the same one. */
const SAME_CELL = 0.25;

interface Pair {
  readonly ours: number;
  readonly theirs: number;
  readonly iou: number;
}

/** Cells are paired by overlap, best first, so that renumbered ones find each other too. */
export function differenceOf(doc: MaskDocument, model: MaskDocument): Difference {
  const partners = pairUp(candidates(doc, model));
  const matched = new Set([...partners.values()].map(({ theirs }) => theirs));
  const added = new Set<number>();
  const reshaped = new Set<number>();
  const retyped = new Set<number>();
  const former: number[] = [];
  for (const [label] of doc.geometry.entries()) {
    const pair = partners.get(label);
    if (pair === undefined) {
      added.add(label);
      continue;
    }
    if (pair.iou < 1) {
      reshaped.add(label);
      former.push(pair.theirs);
    }
    if (typeOf(doc, label) !== typeOf(model, pair.theirs)) retyped.add(label);
  }
  const labels = [...model.geometry.entries()].map(([label]) => label);
  const removed = new Set(labels.filter((label) => !matched.has(label)));
  const [removedSpans, formerSpans] = [spansOfCells(model, removed), spansOfCells(model, former)];
  return { added, removed, reshaped, retyped, removedSpans, formerSpans };
}

function typeOf(doc: MaskDocument, label: number): string | null {
  return (doc.meta.get(label) ?? UNTYPED).type;
}

function spansOfCells(doc: MaskDocument, labels: Iterable<number>): Span[] {
  return [...labels].flatMap((label) => {
    const box = doc.geometry.get(label)?.box;
    return box === undefined ? [] : spansOf(doc.labels, box, label);
  });
}

/** All pairs of overlapping cells that may be the same, best first. */
function candidates(doc: MaskDocument, model: MaskDocument): Pair[] {
  const pairs: Pair[] = [];
  for (const [ours, { area, box }] of doc.geometry.entries()) {
    const mine = doc.labels.read(box);
    const counts = new Map<number, number>();
    model.labels.read(box).forEach((theirs, at) => {
      if (theirs !== 0 && mine[at] === ours) counts.set(theirs, (counts.get(theirs) ?? 0) + 1);
    });
    for (const [theirs, common] of counts) {
      const union = area + (model.geometry.get(theirs)?.area ?? 0) - common;
      const iou = common / union;
      if (iou >= SAME_CELL) pairs.push({ ours, theirs, iou });
    }
  }
  const renumbered = ({ ours, theirs }: Pair): number => Number(ours !== theirs);
  return pairs.sort((a, b) => b.iou - a.iou || renumbered(a) - renumbered(b) || a.ours - b.ours);
}

/** Each cell gets at most one partner; by label of the correction. */
function pairUp(pairs: readonly Pair[]): ReadonlyMap<number, Pair> {
  const partners = new Map<number, Pair>();
  const taken = new Set<number>();
  for (const pair of pairs) {
    if (partners.has(pair.ours) || taken.has(pair.theirs)) continue;
    partners.set(pair.ours, pair);
    taken.add(pair.theirs);
  }
  return partners;
}
