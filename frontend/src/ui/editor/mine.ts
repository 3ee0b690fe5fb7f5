/** Which cells somebody changed in this sitting, be it merged with somebody else's revision. */
import type { MaskDocument } from "../../core/document";
import type { Disagreement } from "../../core/merge";
import { changedCells } from "../../core/surroundings";

/** The cells that came with another revision, and the document as it was when they came. */
export interface Came {
  readonly cells: ReadonlySet<number>;
  readonly as: MaskDocument;
}

/** What was drawn, changed or taken away since `before`; what came counts if changed since then. */
export function mineOf(
  before: MaskDocument,
  now: MaskDocument,
  came: Came | null,
): ReadonlySet<number> {
  const found = changedCells(before, now);
  if (came === null) return found;
  const since = changedCells(came.as, now);
  return new Set([...found].filter((label) => since.has(label) || !came.cells.has(label)));
}

/** A merge made `now` of a document with `mine`; `taken`: the cells chosen of the other revision. */
export function cameWith(
  [before, now]: readonly [MaskDocument, MaskDocument],
  mine: ReadonlySet<number>,
  taken: readonly Disagreement[],
  earlier: Came | null,
): Came {
  const others = [...changedCells(before, now), ...(earlier?.cells ?? [])];
  const cells = new Set(others.filter((label) => !mine.has(label)));
  for (const { mine: label } of taken) if (label !== null) cells.add(label);
  return { cells, as: now };
}

export const withLabel = (
  cells: ReadonlySet<number>,
  label: number | null | undefined,
): ReadonlySet<number> => (label == null ? cells : new Set([...cells, label]));
