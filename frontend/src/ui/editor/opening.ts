/** Everything the editor needs of one image, read in parallel. */
import {
  readHead,
  readHeadLabels,
  readPixels,
  readPrediction,
  readPredictionLabels,
  revisionOf,
  type Head,
} from "../../api/annotations";
import { ApiError } from "../../api/client";
import { readDataset } from "../../api/datasets";
import { readImage } from "../../api/images";
import type { RawArray } from "../../api/labels";
import type {
  Box as Corners,
  Dataset,
  ImageDetail,
  PredictedCell,
  Prediction,
} from "../../api/types";
import { regionsOf } from "../../core/completeness";
import { openDocument, type CellMeta, type MaskDocument } from "../../core/document";
import type { Evidence } from "../../core/evidence";
import { intersect, type Box } from "../../core/geometry";
import { sortedSample, type Pixels } from "../../core/intensity";
import type { RasterImage } from "../../render/renderer";
import { typeColour, type Palette, type Rgb } from "../../render/settings";
import type { Asked } from "../router";

/** The cell or place that somebody came to draw, as the image shows it. */
export interface About {
  readonly asked: Asked;
  /** Of the cell in the document; null: there is none. */
  readonly label: number | null;
  /** Null where nobody can tell any more: the image was predicted again. */
  readonly box: Box | null;
  /** Only what is changed is handed in as complete. */
  readonly partly: boolean;
}

export interface Opened {
  readonly image: ImageDetail;
  readonly dataset: Dataset;
  readonly raster: RasterImage;
  /** Per channel, sorted sample of its values. */
  readonly samples: readonly Float32Array[];
  readonly roles: readonly string[];
  readonly doc: MaskDocument;
  readonly evidence: ReadonlyMap<number, Evidence>;
  readonly head: Head;
  readonly prediction: Prediction | null;
  /** The prediction whose cells are shown where the head is not complete, instead of its own. */
  readonly newer?: number | null;
  /** The prediction's cells, numbered as in the document. */
  readonly predicted: readonly Predicted[];
  /** What the model predicted, also beside a revision; null when it could not be read. */
  readonly model: MaskDocument | null;
  /** The part of the image that the queue asks about; otherwise all of it. */
  readonly asked?: Box;
  /** The cell or place that somebody came here to draw. */
  readonly about?: About;
}

type Predicted = readonly [label: number, cell: PredictedCell];

/** Labels above this are renumbered: the lookup texture has one texel per label. */
const HIGHEST_LABEL = 1 << 20;
/** A revised cell this like the predicted one of the same number is still that cell. */
export const SAME_BOX_IOU = 0.5;
/** Times that masks are read until cells and labels agree. */
const READS = 3;

export async function openImage(imageId: number, signal: AbortSignal): Promise<Opened> {
  const [image, pixels, { head, prediction, newer, labels, modelled }] = await Promise.all([
    readImage(imageId, signal),
    readPixels(imageId, signal),
    readMasks(imageId, signal),
  ]);
  const dataset = await readDataset(image.dataset, signal);
  const raster = rasterOf(pixels);
  const { flat, renumbered } = compact(labels?.values ?? null, raster.width * raster.height);
  const sources = { image, dataset, head, prediction };
  const metas = metasOf(sources);
  const predicted = renamed(
    (prediction?.cells ?? []).map((cell) => [cell.label, cell] as const),
    renumbered,
  );
  const regions = regionsOf(head.annotation.complete_regions);
  const cells = renamed(metas, renumbered);
  const doc = openDocument(flat, raster, cells, highestOf(predicted), regions);
  const revised = head.annotation.revision > 0;
  const evidence = evidenceOf(revised ? stillThere(doc, predicted) : predicted, prediction);
  const roles = rolesOf(pixels, image, raster.channels.length);
  const model = revised ? modelOf(sources, modelled, raster) : prediction && doc;
  const samples = raster.channels.map(sortedSample);
  return { ...sources, newer, raster, samples, roles, doc, evidence, predicted, model };
}

/** Did somebody say before that the whole image is complete? Without a revision nobody has. */
export function isWhole({ head: { annotation } }: Pick<Opened, "head">): boolean {
  return annotation.revision > 0 && annotation.complete_regions === null;
}

function modelOf(
  sources: Sources,
  modelled: RawArray | null,
  { width, height }: RasterImage,
): MaskDocument | null {
  if (modelled === null || modelled.values.length !== width * height) return null;
  const { flat, renumbered } = compact(modelled.values, width * height);
  return openDocument(flat, { width, height }, renamed(predictedMetas(sources), renumbered));
}

/** A new cell must not get the number of a predicted one that a revision deleted. */
function highestOf(predicted: readonly Predicted[]): number {
  return predicted.reduce(
    (highest, [label]) => (label <= HIGHEST_LABEL ? Math.max(highest, label) : highest),
    0,
  );
}

interface Masks {
  readonly head: Head;
  readonly prediction: Prediction | null;
  /** The prediction whose cells the head is read with, where nothing is complete. */
  readonly newer: number | null;
}

interface ReadMasks extends Masks {
  readonly labels: RawArray | null;
  /** The predicted label image beside a revision. */
  readonly modelled: RawArray | null;
}

/**
 * Cells and labels come by two requests: when a revision or a prediction came in between, the
 * types would go to the wrong cells, so both are read again.
 */
async function readMasks(imageId: number, signal: AbortSignal): Promise<ReadMasks> {
  for (let left = READS; left > 0; left--) {
    const [shown, prediction] = await Promise.all([
      readHead(imageId, signal),
      readPrediction(imageId, signal),
    ]);
    const newer = newerThan(shown, prediction);
    const head = newer === null ? shown : await readHead(imageId, signal, newer);
    const masks = { head, prediction, newer };
    const [labels, modelled] = await Promise.all([
      readLabels(imageId, masks, signal),
      readModelled(imageId, masks, signal),
    ]);
    if (belongTogether(masks, labels)) return { ...masks, labels, modelled };
  }
  const message = "The masks of this image keep changing on the server. Open it again in a moment.";
  throw new ApiError(message, 0, "bad_answer");
}

/** The prediction that says anew what an image shows that is complete in parts; null: none. */
function newerThan({ annotation }: Head, prediction: Prediction | null): number | null {
  const { revision, complete_regions: regions, prediction: begun } = annotation;
  if (revision === 0 || regions === null || prediction === null || begun === undefined) return null;
  return begun === prediction.id ? null : prediction.id;
}

function belongTogether({ head, prediction }: Masks, labels: RawArray | null): boolean {
  if (labels === null) return true;
  const revised = head.annotation.revision > 0;
  const said = revised
    ? revisionOf(labels.headers.get("ETag"))
    : labels.headers.get("X-Prediction");
  return said === null || said === (revised ? head.annotation.revision : String(prediction?.id));
}

function readLabels(imageId: number, from: Masks, signal: AbortSignal): Promise<RawArray | null> {
  if (from.head.annotation.revision > 0) return readHeadLabels(imageId, signal, from.newer);
  return from.prediction === null ? Promise.resolve(null) : readPredictionLabels(imageId, signal);
}

/** Null where it cannot be had: then only copying cells back from the model is impossible. */
async function readModelled(
  imageId: number,
  { head, prediction }: Masks,
  signal: AbortSignal,
): Promise<RawArray | null> {
  if (head.annotation.revision === 0 || prediction === null) return null;
  try {
    const labels = await readPredictionLabels(imageId, signal);
    const said = labels.headers.get("X-Prediction");
    return said === null || said === String(prediction.id) ? labels : null;
  } catch (error) {
    if (error instanceof ApiError) return null;
    throw error;
  }
}

function rasterOf({ shape, values }: RawArray): RasterImage {
  const [height = 1, width = 1] = shape.slice(-2);
  const plane = width * height;
  const pixels: Pixels = values instanceof Uint32Array ? Float32Array.from(values) : values;
  const channels: Pixels[] = [];
  for (let at = 0; at < pixels.length; at += plane) channels.push(pixels.subarray(at, at + plane));
  return { width, height, channels };
}

function rolesOf(pixels: RawArray, image: ImageDetail, count: number): string[] {
  const named = pixels.headers.get("X-Channels")?.split(",") ?? image.channels;
  return Array.from(
    { length: count },
    (_, index) => named[index]?.trim() ?? `channel ${index + 1}`,
  );
}

interface Compacted {
  readonly flat: ArrayLike<number>;
  /** Old number to new; null when nothing was renumbered. */
  readonly renumbered: ReadonlyMap<number, number> | null;
}

/** With labels low enough for the lookup texture. */
export function compact(values: ArrayLike<number> | null, pixels: number): Compacted {
  if (values === null) return { flat: new Uint32Array(pixels), renumbered: null };
  let highest = 0;
  for (let at = 0; at < values.length; at++) highest = Math.max(highest, values[at] ?? 0);
  if (highest <= HIGHEST_LABEL) return { flat: values, renumbered: null };
  const renumbered = new Map([[0, 0]]);
  const flat = Uint32Array.from(values, (label) => {
    const known = renumbered.get(label);
    if (known !== undefined) return known;
    renumbered.set(label, renumbered.size);
    return renumbered.size - 1;
  });
  return { flat, renumbered };
}

/** By the new numbers; what has none is left out. */
export function renamed<T>(
  entries: readonly (readonly [number, T])[],
  renumbered: ReadonlyMap<number, number> | null,
): (readonly [number, T])[] {
  if (renumbered === null) return [...entries];
  return entries.flatMap(([label, value]) => {
    const now = renumbered.get(label);
    return now === undefined ? [] : [[now, value] as const];
  });
}

export function typeColours(dataset: Dataset, palette: Palette): ReadonlyMap<string, Rgb> {
  return new Map(
    dataset.types.map(({ name, color }, index) => [name, typeColour(color, index, palette)]),
  );
}

type Sources = Pick<Opened, "image" | "dataset" | "head" | "prediction">;

/** The type that the file name gives to all cells of an image; null on mixed cultures. */
export function cultureType(image: ImageDetail, dataset: Dataset): string | null {
  return dataset.types.some(({ name }) => name === image.culture) ? image.culture : null;
}

function metasOf(sources: Sources): [number, CellMeta][] {
  const { annotation } = sources.head;
  if (annotation.revision === 0) return predictedMetas(sources);
  return annotation.cells.map(({ label, type, type_source }) => [
    label,
    { type, source: type === null ? "" : type_source },
  ]);
}

function predictedMetas({ image, dataset, prediction }: Sources): [number, CellMeta][] {
  const culture = cultureType(image, dataset);
  return (prediction?.cells ?? []).map(({ label, type }) => {
    // On a single-type culture the file name knows better than the model.
    if (culture !== null) return [label, { type: culture, source: "file_name" }];
    return [label, { type, source: type === null ? "" : "model" }];
  });
}

/** The predicted cells that a document still has, as it numbers them. */
export function stillThere(doc: MaskDocument, predicted: readonly Predicted[]): Predicted[] {
  const numbers = new Map<string, number>();
  for (const [label, { box }] of doc.geometry.entries()) numbers.set(placeOf(box), label);
  return predicted.flatMap(([label, cell]) => {
    const place = boxOf(cell.bbox);
    const box = doc.geometry.get(label)?.box;
    if (box !== undefined && boxIou(box, place) >= SAME_BOX_IOU) return [[label, cell] as const];
    // Its number may have been taken by a cell that somebody answered for before.
    const other = numbers.get(placeOf(place));
    return other === undefined ? [] : [[other, cell] as const];
  });
}

export const boxOf = ([x0, y0, x1, y1]: Corners): Box => ({ x0, y0, x1, y1 });

const placeOf = ({ x0, y0, x1, y1 }: Box): string => `${x0} ${y0} ${x1} ${y1}`;

/** Of a segmenter alone no cell is said to be seen by it only. */
export function evidenceOf(
  predicted: readonly Predicted[],
  prediction: Prediction | null,
): ReadonlyMap<number, Evidence> {
  const alone = prediction?.detector === null;
  return new Map(predicted.map(([label, cell]) => [label, toEvidence(cell, alone)]));
}

function toEvidence(cell: PredictedCell, alone: boolean): Evidence {
  const { score, probabilities, uncertainty, terms, seen_by } = cell;
  return { score, probabilities, uncertainty, terms, seenBy: alone ? "" : seen_by };
}

export function boxIou(a: Box, b: Box): number {
  const area = ({ x0, y0, x1, y1 }: Box): number => (x1 - x0) * (y1 - y0);
  const overlap = intersect(a, b);
  const common = overlap === null ? 0 : area(overlap);
  return common / (area(a) + area(b) - common);
}
