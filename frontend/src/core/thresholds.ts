/**
 * The segmenter's masks at other thresholds, put into the document: they replace what is still the
 * model's own work, and nothing a person drew or typed.
 */
import { UNTYPED, type CellMeta, type MaskDocument } from "./document";
import type { Box } from "./geometry";
import { CellsStep, type MetaChange, type Step } from "./steps";
import { repaint } from "./windows";

/** A new mask this like a cell of the model is that cell and keeps its label and type. */
const SAME_IOU = 0.5;
/** A new mask with more of it on corrected cells is one of those, drawn anew: left out. */
const MOST_COVERED = 0.5;

export interface NewMasks {
  /** Row-major labels of the whole image, 0 = background. */
  readonly flat: ArrayLike<number>;
  /** What cells without an older self are. */
  readonly meta: CellMeta;
}

/** Labels of the cells that are as the model left them. */
export function untouched(doc: MaskDocument, model: MaskDocument): Set<number> {
  const found = new Set<number>();
  for (const [label, { box, area }] of doc.geometry.entries()) {
    const other = model.geometry.get(label);
    if (other?.area !== area || doc.meta.get(label)?.source === "human") continue;
    if (sameIn(doc, model, label, box)) found.add(label);
  }
  return found;
}

function sameIn(doc: MaskDocument, model: MaskDocument, label: number, box: Box): boolean {
  const theirs = model.labels.read(box);
  return doc.labels.read(box).every((value, at) => value !== label || theirs[at] === label);
}

/**
 * The steps that put `masks` in the place of what is as `model` left it; all else stays, and what
 * a person deleted does not come back.
 */
export function withMasks(
  doc: MaskDocument,
  model: MaskDocument,
  { flat, meta }: NewMasks,
): Step[] {
  const before = doc.labels.flat();
  const replaced = untouched(doc, model);
  const names = namesOf(doc, tallyOf(before, flat, replaced), deleted(doc, model, flat));
  const after = before.map((label, at) => {
    if (label !== 0 && !replaced.has(label)) return label;
    return names.get(flat[at] as number) ?? 0;
  });
  const added: MetaChange[] = [...names.values()]
    .filter((label) => label > doc.highest)
    .map((label) => ({ label, before: null, after: meta }));
  const steps: Step[] = [new CellsStep(added), repaint(doc.labels, doc.labels.box, after)];
  return steps.filter((step) => !("isEmpty" in step && step.isEmpty === true));
}

/** The new masks that are like a cell of the model that is no longer in the document. */
function deleted(doc: MaskDocument, model: MaskDocument, flat: ArrayLike<number>): Set<number> {
  const areas = new Map<number, number>();
  for (let at = 0; at < flat.length; at++) {
    const mask = flat[at] as number;
    areas.set(mask, (areas.get(mask) ?? 0) + 1);
  }
  const found = new Set<number>();
  for (const [label, { box, area }] of model.geometry.entries()) {
    if (doc.geometry.get(label) !== undefined) continue;
    for (const [mask, common] of commonWith(model, label, box, flat)) {
      if (common / (area + (areas.get(mask) ?? 0) - common) > SAME_IOU) found.add(mask);
    }
  }
  return found;
}

/** How many pixels of a model's cell each new mask has. */
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
  for (let at = 0; at < before.length; at++) {
    const mask = flat[at] as number;
    if (mask === 0) continue;
    let tally = tallies.get(mask);
    if (tally === undefined) {
      tallies.set(mask, (tally = { area: 0, covered: 0, shared: new Map<number, number>() }));
    }
    tally.area++;
    const label = before[at] as number;
    if (label === 0) continue;
    if (replaced.has(label)) tally.shared.set(label, (tally.shared.get(label) ?? 0) + 1);
    else tally.covered++;
  }
  return tallies;
}

/** The label each new mask gets: an older self's, else a fresh one; none for those left out. */
function namesOf(
  doc: MaskDocument,
  tallies: ReadonlyMap<number, Tally>,
  unwanted: ReadonlySet<number>,
): Map<number, number> {
  const names = new Map<number, number>();
  let highest = doc.highest;
  for (const [mask, { area, covered, shared }] of tallies) {
    if (unwanted.has(mask) || covered > MOST_COVERED * area) continue;
    const self = [...shared].find(([label, common]) => {
      const other = doc.geometry.get(label)?.area ?? 0;
      return common / (area + other - common) > SAME_IOU;
    });
    names.set(mask, self === undefined ? ++highest : self[0]);
  }
  return names;
}

/** What a cell that the segmenter adds is, on this image. */
export function addedMeta(culture: string | null): CellMeta {
  return culture === null ? UNTYPED : { type: culture, source: "file_name" };
}
