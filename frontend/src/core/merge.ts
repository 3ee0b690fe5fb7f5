/**
 * Two people's versions of one image, cell by cell: where they differ, and one document with the
 * cells of each, and the complete regions of one, that somebody chose. A cell taken from the other version replaces what it
 * overlaps; of a cell that loses pixels this way, a remnant that is small is dropped with them.
 */
import { UNTYPED, type CellMeta, type MaskDocument } from "./document";
import { unite, type Box } from "./geometry";
import { pairedCells, type Pair } from "./pairing";
import { RunBuilder } from "./runs";
import { CellsStep, PaintStep, RegionsStep, sameMeta, type MetaChange, type Step } from "./steps";

export interface Disagreement {
  /** The cell in my version; null when only theirs has it. */
  readonly mine: number | null;
  /** The cell in their version; null when only mine has it. */
  readonly theirs: number | null;
  readonly iou: number;
  readonly otherType: boolean;
  readonly box: Box;
}

/** Cells more alike than this are equal. */
const EQUAL_IOU = 0.98;
/** A cell that keeps less than this part of itself is dropped. */
const LEAST_REMNANT = 0.3;

/** Where two versions disagree, from top to bottom. */
export function disagreements(mine: MaskDocument, theirs: MaskDocument): Disagreement[] {
  const pairs = pairedCells(mine, theirs);
  const found: Disagreement[] = [];
  for (const pair of pairs) {
    const box = boxOf(mine, theirs, pair);
    const otherType = metaOf(mine, pair.mine).type !== metaOf(theirs, pair.theirs).type;
    if (otherType || pair.iou < EQUAL_IOU) found.push({ ...pair, otherType, box });
  }
  const myPartners = new Set(pairs.map((pair) => pair.mine));
  const theirPartners = new Set(pairs.map((pair) => pair.theirs));
  for (const [label, { box }] of mine.geometry.entries()) {
    if (myPartners.has(label)) continue;
    found.push({ mine: label, theirs: null, iou: 0, otherType: false, box });
  }
  for (const [label, { box }] of theirs.geometry.entries()) {
    if (theirPartners.has(label)) continue;
    found.push({ mine: null, theirs: label, iou: 0, otherType: false, box });
  }
  return found.sort((a, b) => a.box.y0 - b.box.y0 || a.box.x0 - b.box.x0);
}

/**
 * The disagreements over what I left as it was `before`: there the other version has the news.
 * `changed`: the cells that I drew, changed or took away, as they are numbered before and in mine.
 */
export function untouched(
  found: readonly Disagreement[],
  changed: ReadonlySet<number>,
  versions: Readonly<Record<"before" | "mine" | "theirs", MaskDocument>>,
): Disagreement[] {
  return found.filter(({ mine, theirs }) => {
    if (mine !== null && changed.has(mine)) return false;
    return theirs === null || !meetsChanges(theirs, changed, versions);
  });
}

/** Would a cell of theirs overwrite one that I changed, or bring back one that I took away? */
function meetsChanges(
  label: number,
  changed: ReadonlySet<number>,
  { before, mine, theirs }: Readonly<Record<"before" | "mine" | "theirs", MaskDocument>>,
): boolean {
  const cell = theirs.geometry.get(label);
  if (cell === undefined || changed.size === 0) return false;
  const [was, is] = [before.labels.read(cell.box), mine.labels.read(cell.box)];
  let [over, gone] = [0, 0];
  theirs.labels.read(cell.box).forEach((each, at) => {
    if (each !== label) return;
    if (changed.has(is[at] as number)) over++;
    else if (is[at] === 0 && changed.has(was[at] as number)) gone++;
  });
  return over > 0 || 2 * gone > cell.area;
}

/**
 * The steps that make of my version one with what was taken of theirs. A type that only one of
 * the two confirmed by hand is confirmed, whoever's drawing is taken.
 */
export function mergedSteps(
  mine: MaskDocument,
  theirs: MaskDocument,
  taken: readonly Disagreement[],
  theirRegions = false,
): Step[] {
  const pixels = new MergedPixels(mine, theirs);
  for (const { mine: label } of taken) if (label !== null) pixels.clear(label);
  const changes = new Map(confirmed(mine, theirs).map((change) => [change.label, change]));
  let { highest } = mine;
  for (const { mine: label, theirs: other } of taken) {
    if (other === null) continue;
    const target = label ?? ++highest;
    pixels.put(other, target);
    const before = mine.meta.get(target) ?? null;
    const after = metaOf(theirs, other);
    const known = before?.type === after.type && before.source === "human";
    if (!known && !sameMeta(before, after)) changes.set(target, { label: target, before, after });
  }
  pixels.dropRemnants();
  const steps = [new CellsStep([...changes.values()]), pixels.step()];
  const restrict = new RegionsStep(mine.regions, theirRegions ? theirs.regions : mine.regions);
  return [...steps, restrict].filter((step) => !step.isEmpty);
}

/** Cells of mine whose very type they confirmed by hand. */
function confirmed(mine: MaskDocument, theirs: MaskDocument): MetaChange[] {
  return pairedCells(mine, theirs).flatMap((pair): MetaChange[] => {
    const [before, after] = [metaOf(mine, pair.mine), metaOf(theirs, pair.theirs)];
    const news = after.source === "human" && after.type === before.type && !sameMeta(before, after);
    return news ? [{ label: pair.mine, before: mine.meta.get(pair.mine) ?? null, after }] : [];
  });
}

class MergedPixels {
  private readonly before: Uint32Array;
  private readonly after: Uint32Array;
  private readonly other: Uint32Array;
  private readonly width: number;
  /** Cells of mine that lost pixels to a taken one. */
  private readonly losers = new Set<number>();

  constructor(
    private readonly mine: MaskDocument,
    private readonly theirs: MaskDocument,
  ) {
    this.before = mine.labels.flat();
    this.after = this.before.slice();
    this.other = theirs.labels.flat();
    this.width = mine.labels.width;
  }

  clear(label: number): void {
    for (const at of this.within(this.mine.geometry.get(label)?.box)) {
      if (this.after[at] === label) this.after[at] = 0;
    }
  }

  put(label: number, target: number): void {
    for (const at of this.within(this.theirs.geometry.get(label)?.box)) {
      if (this.other[at] !== label) continue;
      const lost = this.after[at] as number;
      if (lost !== 0 && lost !== target) this.losers.add(lost);
      this.after[at] = target;
    }
  }

  dropRemnants(): void {
    for (const label of this.losers) {
      const { area, box } = this.mine.geometry.get(label) ?? { area: 0, box: undefined };
      let left = 0;
      for (const at of this.within(box)) if (this.after[at] === label) left++;
      if (left < area * LEAST_REMNANT) this.clear(label);
    }
  }

  step(): PaintStep {
    const builder = new RunBuilder(this.width);
    for (let at = 0; at < this.after.length; at++) {
      builder.add(at, 1, this.before[at] as number, this.after[at] as number);
    }
    return new PaintStep(this.width, builder.finish());
  }

  private *within(box: Box | undefined): Generator<number> {
    if (box === undefined) return;
    for (let y = box.y0; y < box.y1; y++) {
      for (let x = box.x0; x < box.x1; x++) yield y * this.width + x;
    }
  }
}

function metaOf(doc: MaskDocument, label: number): CellMeta {
  return doc.meta.get(label) ?? UNTYPED;
}

function boxOf(mine: MaskDocument, theirs: MaskDocument, pair: Pair): Box {
  const a = mine.geometry.get(pair.mine)?.box ?? mine.labels.box;
  const b = theirs.geometry.get(pair.theirs)?.box ?? a;
  return unite(a, b);
}
