/** What a correction changed in the model's cells: added, removed, reshaped, retyped. */
import { UNTYPED, type MaskDocument } from "./document";
import type { Span } from "./geometry";
import { pairedCells } from "./pairing";
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

/** Cells are paired by overlap, best first, so that renumbered ones find each other too. */
export function differenceOf(doc: MaskDocument, model: MaskDocument): Difference {
  const pairs = pairedCells(doc, model);
  const partners = new Map(pairs.map((pair) => [pair.mine, pair]));
  const matched = new Set(pairs.map(({ theirs }) => theirs));
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
