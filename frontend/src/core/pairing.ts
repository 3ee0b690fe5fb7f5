/** Which cells of two versions of an image are one cell: paired by overlap, whatever their numbers. */
import type { MaskDocument } from "./document";

export interface Pair {
  readonly mine: number;
  readonly theirs: number;
  /** Intersection over union. */
  readonly iou: number;
}

/** Overlapping less than this, two cells are not the same one. */
const SAME_CELL_IOU = 0.25;

/** Partners, the most alike first; each cell is in one pair at most. */
export function pairedCells(mine: MaskDocument, theirs: MaskDocument): Pair[] {
  const taken = { mine: new Set<number>(), theirs: new Set<number>() };
  return candidates(mine, theirs).filter((pair) => {
    if (taken.mine.has(pair.mine) || taken.theirs.has(pair.theirs)) return false;
    taken.mine.add(pair.mine);
    taken.theirs.add(pair.theirs);
    return true;
  });
}

/** All pairs of overlapping cells that may be the same, best first. */
function candidates(mine: MaskDocument, theirs: MaskDocument): Pair[] {
  const pairs: Pair[] = [];
  for (const [label, { area, box }] of mine.geometry.entries()) {
    const own = mine.labels.read(box);
    const counts = new Map<number, number>();
    theirs.labels.read(box).forEach((other, at) => {
      if (other !== 0 && own[at] === label) counts.set(other, (counts.get(other) ?? 0) + 1);
    });
    for (const [other, common] of counts) {
      const iou = common / (area + (theirs.geometry.get(other)?.area ?? 0) - common);
      if (iou >= SAME_CELL_IOU) pairs.push({ mine: label, theirs: other, iou });
    }
  }
  const renumbered = (pair: Pair): number => Number(pair.mine !== pair.theirs);
  return pairs.sort((a, b) => b.iou - a.iou || renumbered(a) - renumbered(b) || a.mine - b.mine);
}
