/**
 * The wand: the bright region around a clicked pixel, between bounds read from its surroundings;
 * where nuclei are seen it stays nearer to its own than to the next one.
 */
import type { MaskDocument } from "./document";
import { grow, intersect, type Box, type Point, type Span } from "./geometry";
import type { LabelImage } from "./labelImage";
import { hillOf } from "./hills";
import { readIntensity, smoothed, type Intensity } from "./landscape";
import type { Rule } from "./paint";
import { holesIn, spansWhere, type Window } from "./regions";

/** The surroundings of a click, read once; a region is cut from them at any tolerance. */
export interface Field {
  readonly box: Box;
  /** 1 where a region may grow: near enough, and of the clicked nucleus. */
  readonly free: Window;
  readonly values: Float32Array;
  /** The clicked pixel. */
  readonly seed: number;
  /** Least values of a region at tolerance 1, 0 and −1. */
  readonly bounds: { readonly widest: number; readonly usual: number; readonly tightest: number };
}

/** What is clicked on. */
export interface Click {
  readonly at: Point;
  /** How far from it a cell may extend, in px. */
  readonly reach: number;
  readonly rule: Rule;
  /** The nucleus channel; null: cells are told apart by their brightness only. */
  readonly nuclei: Intensity | null;
}

const BINS = 128;
/** Halvings of the range in which the threshold that does not leak is looked for. */
const HALVINGS = 7;
/** A dim cell beside bright ones lies in the lower class of a first threshold, and so on. */
const CLASSES = 4;
/** Hands draw around the blur of an edge, not along the middle of its slope. */
const GENEROUS = 0.15;

/**
 * A region reaches this many diameters of the image's usual cell from the click; further where
 * nuclei keep it from running into the next cell.
 */
const REACH = { alone: 1.5, withNuclei: 2.25 };
const REACHES = { least: 12, usual: 60, most: 200 };
/** Two nuclei are two where it is darker between them than this share of the darker one. */
const BETWEEN = 0.75;
/** Nuclei are smoothed over this share of the reach, by so many rounds at most. */
const SMOOTHING = { share: 0.08, most: 12 };
/** So many standard deviations of the noise between two nuclei are not seen. */
const NOISE = 4;

/** Fewer cells than this do not tell what is usual. */
const FEW = 3;

/** How far from a click a cell of this image may extend, in px. */
export function reachOf(doc: MaskDocument, withNuclei: boolean): number {
  if (doc.geometry.size < FEW) return REACHES.usual;
  const areas = [...doc.geometry.entries()].map(([, { area }]) => area).sort((a, b) => a - b);
  const median = areas[Math.floor(areas.length / 2)] as number;
  const times = withNuclei ? REACH.withNuclei : REACH.alone;
  const diameter = 2 * Math.sqrt(median / Math.PI);
  return Math.min(REACHES.most, Math.max(REACHES.least, times * diameter));
}

/**
 * Read the surroundings of a click: within `reach` pixels, where `rule` lets a new cell grow.
 * Null where the click is outside the image or on a pixel that may not change.
 */
export function fieldAround(labels: LabelImage, intensity: Intensity, click: Click): Field | null {
  const x = Math.floor(click.at.x);
  const y = Math.floor(click.at.y);
  const reach = Math.ceil(click.reach);
  const box = intersect(grow({ x0: x, y0: y, x1: x + 1, y1: y + 1 }, reach), labels.box);
  const inside = x >= 0 && y >= 0 && x < labels.width && y < labels.height;
  if (box === null || !inside || !click.rule(labels.at(x, y))) return null;
  const size = { width: box.x1 - box.x0, height: box.y1 - box.y0 };
  const seed = (y - box.y0) * size.width + x - box.x0;
  const allowed = Uint8Array.from(labels.read(box), (label, at) => {
    const dx = box.x0 + (at % size.width) - x;
    const dy = box.y0 + Math.floor(at / size.width) - y;
    return Number(click.rule(label) && dx * dx + dy * dy <= reach * reach);
  });
  const everywhere = { values: new Uint8Array(allowed.length).fill(1), ...size };
  const near = { values: allowed, ...size };
  const nuclei = click.nuclei === null ? null : readIntensity(click.nuclei, box);
  const own = nuclei === null ? allowed : ofNucleus(near, seed, { nuclei, reach });
  const free = { values: own, ...size };
  const values = smoothed(everywhere, smoothed(everywhere, readIntensity(intensity, box)));
  return withBounds({ box, free, values, seed }, { x, y, reach });
}

/** The pixels that are nearer, up the blur of the nuclei, to the clicked nucleus than to another. */
function ofNucleus(
  near: Window,
  seed: number,
  { nuclei, reach }: { readonly nuclei: Float32Array; readonly reach: number },
): Uint8Array {
  const everywhere = { ...near, values: near.values.map(() => 1) };
  // A mean of 3 × 3 pixels has a variance of 2/3 along each axis.
  const wanted = Math.round(1.5 * (SMOOTHING.share * reach) ** 2);
  const rounds = Math.min(SMOOTHING.most, Math.max(1, wanted));
  let smooth = smoothed(everywhere, nuclei);
  const noise =
    1.5 *
    quantile(
      nuclei.map((value, at) => Math.abs(value - (smooth[at] ?? 0))),
      0.5,
    );
  for (let round = 1; round < rounds; round++) smooth = smoothed(everywhere, smooth);
  // What is left of white noise under a Gaussian of that variance.
  const left = noise / Math.sqrt(4 * Math.PI * ((2 / 3) * rounds));
  return hillOf(near, smooth, seed, { share: BETWEEN, rise: NOISE * left });
}

function withBounds(
  field: Omit<Field, "bounds">,
  rim: { readonly x: number; readonly y: number; readonly reach: number },
): Field {
  const tightest = field.values[field.seed] as number;
  const around = field.values.filter((_, at) => field.free.values[at] === 1);
  const widest = Math.min(quantile(around, 0.05), tightest);
  const threshold = Math.min(thresholdBelow(around, tightest), tightest);
  let usual = threshold + (widest - threshold) * GENEROUS;
  if (leaks(field, usual, rim)) {
    let tight = tightest;
    for (let halving = 0; halving < HALVINGS; halving++) {
      const middle = (usual + tight) / 2;
      if (leaks(field, middle, rim)) usual = middle;
      else tight = middle;
    }
    usual = tight;
  }
  return { ...field, bounds: { widest, usual, tightest } };
}

/** Otsu's threshold, taken again among what lies below it while the clicked value does. */
function thresholdBelow(values: Float32Array, clicked: number): number {
  let below = values;
  for (let left = CLASSES; left > 0; left--) {
    const threshold = otsu(below);
    if (threshold <= clicked) return threshold;
    below = below.filter((value) => value < threshold);
  }
  return clicked;
}

function quantile(values: Float32Array, share: number): number {
  const sorted = values.slice().sort();
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

/** Does the region reach as far as it may, short of the image's border? */
function leaks(
  field: Omit<Field, "bounds">,
  threshold: number,
  rim: { readonly x: number; readonly y: number; readonly reach: number },
): boolean {
  const { box, free } = field;
  const nearly = (rim.reach - 1) * (rim.reach - 1);
  return connected(field, threshold).some((inside, at) => {
    if (inside === 0) return false;
    const dx = box.x0 + (at % free.width) - rim.x;
    const dy = box.y0 + Math.floor(at / free.width) - rim.y;
    return dx * dx + dy * dy >= nearly;
  });
}

/**
 * The value that parts `values` in two classes as different as can be: what is at or above it is
 * the upper class. Of equal values it is that value.
 */
export function otsu(values: Float32Array): number {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!(high > low)) return low;
  const scale = BINS / (high - low);
  const counts = new Float64Array(BINS);
  for (const value of values) {
    const bin = Math.min(BINS - 1, Math.floor((value - low) * scale));
    counts[bin] = (counts[bin] as number) + 1;
  }
  return low + bestCut(counts) / scale;
}

/** The bin from which on the upper class begins: most variance between the classes. */
export function bestCut(counts: Float64Array): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const moment = counts.reduce((sum, count, bin) => sum + count * bin, 0);
  let best = { cut: 1, variance: -1 };
  let count = 0;
  let sum = 0;
  for (let cut = 1; cut < counts.length; cut++) {
    const bin = counts[cut - 1] as number;
    count += bin;
    sum += bin * (cut - 1);
    if (count === 0 || count === total) continue;
    const gap = sum / count - (moment - sum) / (total - count);
    const variance = count * (total - count) * gap * gap;
    if (variance > best.variance) best = { cut, variance };
  }
  return best.cut;
}

/** The pixels at or above a threshold that hang together with the clicked one, side by side. */
function connected({ free, values, seed }: Omit<Field, "bounds">, threshold: number): Uint8Array {
  const { width } = free;
  const inside = new Uint8Array(values.length);
  const stack = [seed];
  const visit = (at: number): void => {
    if (inside[at] !== 0 || free.values[at] !== 1 || (values[at] as number) < threshold) return;
    inside[at] = 1;
    stack.push(at);
  };
  inside[seed] = 1;
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    const x = at % width;
    if (x > 0) visit(at - 1);
    if (x < width - 1) visit(at + 1);
    if (at >= width) visit(at - width);
    if (at < values.length - width) visit(at + width);
  }
  return inside;
}

/** The region at a tolerance of −1 (the clicked value only) … 0 (automatic) … 1, holes filled. */
export function regionAt(field: Field, tolerance: number): Span[] {
  const { widest, usual, tightest } = field.bounds;
  const asked = Math.min(1, Math.max(-1, tolerance));
  const towards = asked < 0 ? tightest : widest;
  const region = {
    ...field.free,
    values: connected(field, usual + (towards - usual) * Math.abs(asked)),
  };
  const hole = holesIn(region);
  const chosen = (at: number): boolean => region.values[at] === 1 || hole(at);
  return spansWhere(region, field.box, chosen);
}
