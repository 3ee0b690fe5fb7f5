/** What was changed in an image, cell by cell, and what is complete with it. */
import { UNTYPED, type MaskDocument } from "./document";
import { fewBoxes, grown, maskOf } from "./fewBoxes";
import { grow, intersect, uniteAll, type Box } from "./geometry";

/** px around a cell, at most, that are complete with it; one at least. */
const RING = 2;
/** That the server takes for one image. */
export const MOST_REGIONS = 5_000;

/** The cells that were drawn, changed, typed or taken away since `before`. */
export function changedCells(before: MaskDocument, now: MaskDocument): Set<number> {
  const found = new Set<number>();
  for (const box of now.labels.changedSince(before.labels)) {
    const [was, is] = [before.labels.read(box), now.labels.read(box)];
    is.forEach((label, at) => {
      if (label !== was[at]) found.add(label).add(was[at] as number);
    });
  }
  for (const label of now.meta.changedSince(before.meta)) {
    if (now.geometry.get(label) === undefined) continue;
    const [was, is] = [before.meta.get(label) ?? UNTYPED, now.meta.get(label) ?? UNTYPED];
    if (was.type !== is.type || was.source !== is.source) found.add(label);
  }
  found.delete(0);
  return found;
}

/**
 * `regions` and what surrounds these cells, where they were and where they are, with a ring around
 * them; but never a pixel of another cell: nobody was asked about that one.
 */
export function withCells(
  regions: readonly Box[],
  cells: ReadonlySet<number>,
  before: MaskDocument,
  now: MaskDocument,
): readonly Box[] {
  const found = surroundings(regions, cells, before, now);
  const room = Math.max(0, MOST_REGIONS - regions.length);
  if (found.length <= room) return [...regions, ...found];
  // Whoever changes hundreds of cells had better mark a region: what is largest counts.
  const area = ({ x0, y0, x1, y1 }: Box): number => (x1 - x0) * (y1 - y0);
  return [...regions, ...found.sort((a, b) => area(b) - area(a)).slice(0, room)];
}

function surroundings(
  regions: readonly Box[],
  cells: ReadonlySet<number>,
  before: MaskDocument,
  now: MaskDocument,
): Box[] {
  const boxOf = (label: number): Box | null =>
    uniteAll([before.geometry.get(label)?.box, now.geometry.get(label)?.box]);
  const around = uniteAll(Array.from(cells, boxOf));
  const box = around === null ? null : intersect(grow(around, RING), now.labels.box);
  if (box === null) return [];
  const [width, height] = [box.x1 - box.x0, box.y1 - box.y0];
  const [was, is] = [before.labels.read(box), now.labels.read(box)];
  const part = maskOf(width, height, (at) => {
    return cells.has(is[at] as number) || (is[at] === 0 && cells.has(was[at] as number));
  });
  const done = painted(regions, box);
  const free = (at: number): boolean => done[at] === 0 && (is[at] === 0 || part.bits[at] === 1);
  const [least, greatest] = [1, RING].map((by) => {
    const { bits } = grown(part, by);
    return maskOf(width, height, (at) => bits[at] === 1 && free(at));
  });
  return least && greatest ? fewBoxes(least, greatest, { x: box.x0, y: box.y0 }) : [];
}

/** Which pixels of a window the regions cover. */
function painted(regions: readonly Box[], window: Box): Uint8Array {
  const width = window.x1 - window.x0;
  const covered = new Uint8Array(width * (window.y1 - window.y0));
  for (const region of regions) {
    const common = intersect(region, window);
    if (common === null) continue;
    for (let y = common.y0; y < common.y1; y++) {
      const row = (y - window.y0) * width - window.x0;
      covered.fill(1, row + common.x0, row + common.x1);
    }
  }
  return covered;
}
