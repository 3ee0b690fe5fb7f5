/**
 * The segmenter's masks at other thresholds, put into the document, once or again and again: they
 * replace what is still the model's own work, and nothing a person drew or typed.
 */
import { UNTYPED, type CellMeta, type MaskDocument } from "./document";
import type { Evidence } from "./evidence";
import type { Box } from "./geometry";
import { CellsStep, type MetaChange, type Step } from "./steps";
import { repaint } from "./windows";

/** A new mask this like a cell of the model is that cell and keeps its label and type. */
const SAME_IOU = 0.5;
/** A new mask with more of it on corrected cells is one of those, drawn anew: left out. */
const MOST_COVERED = 0.5;
const NONE: ReadonlySet<number> = new Set();

export interface NewMasks {
  /** Row-major labels of the whole image, 0 = background. */
  readonly flat: ArrayLike<number>;
  /** What cells without an older self are. */
  readonly meta: CellMeta;
  /** Cells that stay whatever the masks are: those that only the detector sees. */
  readonly fixed?: ReadonlySet<number>;
}

/** New masks in the place of older ones. */
export interface Replacement {
  readonly steps: readonly Step[];
  /** Cells that are from now on as the new masks have them. */
  readonly placed: ReadonlySet<number>;
  /** Cells that no new mask is like. */
  readonly removed: ReadonlySet<number>;
}

/** What the segmenter's masks depend on. */
export interface Thresholds {
  readonly cellprobThreshold: number;
  readonly flowThreshold: number;
  readonly minSize: number;
}

/** What a gesture that puts new masks into the document says of them. */
export interface Placement extends Omit<Replacement, "steps"> {
  readonly values: Thresholds;
}

/** A replacement that was kept, with the documents on either side of it. */
export interface Applied extends Placement {
  readonly before: MaskDocument;
  readonly after: MaskDocument;
}

/** Labels of the cells that are as the model, or masks applied since, left them. */
export function untouched(
  doc: MaskDocument,
  model: MaskDocument,
  applied: readonly Applied[] = [],
): Set<number> {
  const found = new Set<number>();
  for (const [label] of doc.geometry.entries()) {
    if (doc.meta.get(label)?.source === "human") continue;
    const placing = applied.filter(({ placed }) => placed.has(label)).map(({ after }) => after);
    if ([model, ...placing].some((other) => sameIn(doc, other, label))) found.add(label);
  }
  return found;
}

function sameIn(doc: MaskDocument, other: MaskDocument, label: number): boolean {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined || other.geometry.get(label)?.area !== geometry.area) return false;
  if (doc.labels.sharesTiles(other.labels, geometry.box)) return true;
  const theirs = other.labels.read(geometry.box);
  return doc.labels
    .read(geometry.box)
    .every((value, at) => value !== label || theirs[at] === label);
}

/**
 * The steps that put `masks` in the place of what is as `model` left it, or masks applied since;
 * all else stays. What a person deleted does not come back; what other thresholds removed does.
 */
export function withMasks(
  doc: MaskDocument,
  model: MaskDocument,
  { flat, meta, fixed = NONE }: NewMasks,
  applied: readonly Applied[] = [],
): Replacement {
  const before = doc.labels.flat();
  const replaced = untouched(doc, model, applied);
  for (const label of fixed) replaced.delete(label);
  const tallies = tallyOf(before, flat, replaced);
  const gone = absent(doc, model, applied, { flat, tallies });
  const names = namesOf(doc, tallies, gone);
  const after = before.slice();
  eachRun(before, flat, (start, end, label, mask) => {
    if (label === 0 || replaced.has(label)) after.fill(names.get(mask) ?? 0, start, end);
  });
  const placed = new Set(names.values());
  const added: MetaChange[] = [...placed]
    .filter((label) => label > doc.highest)
    .map((label) => ({ label, before: null, after: meta }));
  const steps = [new CellsStep(added), repaint(doc.labels, doc.labels.box, after)];
  const removed = new Set([...replaced].filter((label) => !placed.has(label)));
  return { steps: steps.filter((step) => !step.isEmpty), placed, removed };
}

/** New masks that are like a cell which is no longer in the document. */
interface Absent {
  /** A person deleted it. */
  readonly unwanted: ReadonlySet<number>;
  /** Other thresholds removed it: its label, by mask. */
  readonly removed: ReadonlyMap<number, number>;
}

function absent(
  doc: MaskDocument,
  model: MaskDocument,
  applied: readonly Applied[],
  { flat, tallies }: { flat: ArrayLike<number>; tallies: ReadonlyMap<number, Tally> },
): Absent {
  const unwanted = new Set<number>();
  const removed = new Map<number, number>();
  for (const [label, { seen, byMasks }] of lastSeen(model, applied)) {
    const geometry = seen.geometry.get(label);
    if (geometry === undefined || doc.geometry.get(label) !== undefined) continue;
    for (const [mask, common] of commonWith(seen, label, geometry.box, flat)) {
      const iou = common / (geometry.area + (tallies.get(mask)?.area ?? 0) - common);
      if (iou <= SAME_IOU) continue;
      if (byMasks) removed.set(mask, label);
      else unwanted.add(mask);
    }
  }
  return { unwanted, removed };
}

interface Seen {
  readonly seen: MaskDocument;
  /** Masks that were applied took it away; else, where it is gone, a person did. */
  readonly byMasks: boolean;
}

/** Where each cell that was once the model's work was seen last. */
function lastSeen(model: MaskDocument, applied: readonly Applied[]): Map<number, Seen> {
  const found = new Map<number, Seen>();
  for (const [label] of model.geometry.entries()) found.set(label, { seen: model, byMasks: false });
  for (const { before, after, placed, removed } of applied) {
    for (const label of placed) found.set(label, { seen: after, byMasks: false });
    for (const label of removed) found.set(label, { seen: before, byMasks: true });
  }
  return found;
}

/** How many pixels of a cell each new mask has. */
function commonWith(
  model: MaskDocument,
  label: number,
  box: Box,
  flat: ArrayLike<number>,
): Map<number, number> {
  const counts = new Map<number, number>();
  const width = box.x1 - box.x0;
  model.labels.read(box).forEach((value, at) => {
    if (value !== label) return;
    const y = box.y0 + Math.floor(at / width);
    const mask = flat[y * model.labels.width + box.x0 + (at % width)] as number;
    if (mask !== 0) counts.set(mask, (counts.get(mask) ?? 0) + 1);
  });
  return counts;
}

/** What lies under one new mask. */
interface Tally {
  area: number;
  /** Pixels on cells that stay. */
  covered: number;
  /** Pixels on each replaced cell. */
  readonly shared: Map<number, number>;
}

function tallyOf(
  before: Uint32Array,
  flat: ArrayLike<number>,
  replaced: ReadonlySet<number>,
): Map<number, Tally> {
  const tallies = new Map<number, Tally>();
  eachRun(before, flat, (start, end, label, mask) => {
    if (mask === 0) return;
    let tally = tallies.get(mask);
    if (tally === undefined) {
      tallies.set(mask, (tally = { area: 0, covered: 0, shared: new Map<number, number>() }));
    }
    tally.area += end - start;
    if (label === 0) return;
    if (replaced.has(label)) {
      tally.shared.set(label, (tally.shared.get(label) ?? 0) + end - start);
    } else tally.covered += end - start;
  });
  return tallies;
}

/** Runs of pixels in reading order with one label before and one mask: far fewer than pixels. */
function eachRun(
  before: Uint32Array,
  flat: ArrayLike<number>,
  visit: (start: number, end: number, label: number, mask: number) => void,
): void {
  let at = 0;
  while (at < before.length) {
    const start = at;
    const label = before[at] as number;
    const mask = flat[at] as number;
    while (at < before.length && before[at] === label && flat[at] === mask) at++;
    visit(start, at, label, mask);
  }
}

/** The label each new mask gets: an older self's, else a fresh one; none for those left out. */
function namesOf(
  doc: MaskDocument,
  tallies: ReadonlyMap<number, Tally>,
  { unwanted, removed }: Absent,
): Map<number, number> {
  const names = new Map<number, number>();
  let highest = doc.highest;
  for (const [mask, { area, covered, shared }] of tallies) {
    if (unwanted.has(mask) || covered > MOST_COVERED * area) continue;
    const self = [...shared].find(([label, common]) => {
      const other = doc.geometry.get(label)?.area ?? 0;
      return common / (area + other - common) > SAME_IOU;
    });
    names.set(mask, self?.[0] ?? removed.get(mask) ?? ++highest);
  }
  return names;
}

/** The cells that no threshold of the segmenter could bring or take. */
export function detectorOnly(evidence: ReadonlyMap<number, Evidence>): Set<number> {
  return new Set([...evidence].filter(([, said]) => said.seenBy === "detector").map(([n]) => n));
}

/** What a cell that the segmenter adds is, on this image. */
export function addedMeta(culture: string | null): CellMeta {
  return culture === null ? UNTYPED : { type: culture, source: "file_name" };
}
