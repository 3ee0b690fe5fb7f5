/** What was changed in an image, cell by cell, and what is complete with it. */
import { UNTYPED, type MaskDocument } from "./document";
import { fewBoxes, grown, maskOf } from "./fewBoxes";
import { grow, intersect, unite, uniteAll, type Box } from "./geometry";

/** px around a cell, at most, that are complete with it; one at least. */
const RING = 2;
/** That the server takes for one image. */
export const MOST_REGIONS = 5_000;

/**
 * The cells that were drawn, changed, typed or taken away since `before`, by their numbers: `now`
 * is what became of it by edits.
 */
export function changedCells(before: MaskDocument, now: MaskDocument): Set<number> {
  const found = new Set<number>();
  for (const box of now.labels.changedSince(before.labels)) {
    const [was, is] = [before.labels.read(box), now.labels.read(box)];
    for (let at = 0; at < is.length; at++) {
      if (is[at] !== was[at]) found.add(is[at] as number).add(was[at] as number);
    }
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
  const found = groupsOf(cells, before, now).flatMap((group) => {
    const box = intersect(group.box, now.labels.box);
    return box === null ? [] : surroundings(regions, { ...group, box }, before, now);
  });
  return [...regions, ...found];
}

/** Cells that may have to do with one another, and the window that holds them with their rings. */
interface Group {
  readonly cells: ReadonlySet<number>;
  readonly box: Box;
}

/** Windows that do not meet: two cells in opposite corners are no reason to read all between. */
function groupsOf(cells: ReadonlySet<number>, before: MaskDocument, now: MaskDocument): Group[] {
  let groups: Group[] = [];
  for (const label of cells) {
    const around = uniteAll([before.geometry.get(label)?.box, now.geometry.get(label)?.box]);
    if (around === null) continue;
    let group: Group = { cells: new Set([label]), box: grow(around, RING) };
    for (let met = meeting(groups, group); met.length > 0; met = meeting(groups, group)) {
      groups = groups.filter((other) => !met.includes(other));
      group = [group, ...met].reduce(joined);
    }
    groups.push(group);
  }
  return groups;
}

const meeting = (groups: readonly Group[], { box }: Group): Group[] =>
  groups.filter((other) => intersect(other.box, box) !== null);

const joined = (a: Group, b: Group): Group => ({
  cells: new Set([...a.cells, ...b.cells]),
  box: unite(a.box, b.box),
});

function surroundings(
  regions: readonly Box[],
  { cells, box }: Group,
  before: MaskDocument,
  now: MaskDocument,
): Box[] {
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
export function painted(regions: readonly Box[], window: Box): Uint8Array {
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

/** Do the regions hold at least half of a cell's pixels? */
export function holdCell(
  regions: readonly Box[],
  { geometry, labels }: MaskDocument,
  label: number,
): boolean {
  const cell = geometry.get(label);
  if (cell === undefined || !regions.some((box) => intersect(box, cell.box) !== null)) return false;
  const covered = painted(regions, cell.box);
  let held = 0;
  labels.read(cell.box).forEach((each, at) => {
    if (each === label && covered[at] === 1) held++;
  });
  return 2 * held >= cell.area;
}
