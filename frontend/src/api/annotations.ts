/** Predictions and revisions of one image, its pixels, and the writing of a new revision. */
import { ApiError, getJson, request } from "./client";
import { readRaw, type EncodedLabels, type RawArray } from "./labels";
import type { Annotation, Box, Prediction, QueueItem } from "./types";

export interface Head {
  readonly annotation: Annotation;
  /** To be sent back as If-Match, so that nobody's newer revision is overwritten. */
  readonly etag: string;
}

/** A revision that was written, without its cells: the writer has them. */
export interface Written {
  readonly revision: number;
  readonly etag: string;
}

export interface SubmittedCell {
  readonly label: number;
  readonly type: string | null;
  readonly type_source?: string;
}

export interface Submission {
  readonly labels: EncodedLabels;
  readonly shape: readonly [height: number, width: number];
  readonly cells: readonly SubmittedCell[];
  readonly completeRegions: Box[] | null;
  readonly secondsSpent: number;
  /** The prediction the annotator began with. */
  readonly prediction: number | null;
  /** Only cells that somebody was asked about one by one: the image stays in the queue. */
  readonly inPassing?: boolean;
}

/** The cells of thousands need not come back. */
const BRIEFLY = { Prefer: "return=minimal" };

export const readPixels = (imageId: number, signal?: AbortSignal): Promise<RawArray> =>
  readRaw(`images/${imageId}/pixels/`, signal);

/** The models' view of an image; null while there is none. */
export function readPrediction(imageId: number, signal?: AbortSignal): Promise<Prediction | null> {
  return unlessAbsent(getJson<Prediction>(`images/${imageId}/prediction/`, { signal }));
}

export const readPredictionLabels = (imageId: number, signal?: AbortSignal): Promise<RawArray> =>
  readRaw(`images/${imageId}/prediction/labels/`, signal);

/**
 * The head revision; its number is 0 when nobody has annotated the image. With a `newer` prediction
 * that one's cells stand where nothing is complete.
 */
export async function readHead(
  imageId: number,
  signal?: AbortSignal,
  newer: number | null = null,
): Promise<Head> {
  const path = `images/${imageId}/annotation/${renewedBy(newer)}`;
  const response = await request("GET", path, { signal });
  const annotation = (await response.json()) as Annotation;
  return { annotation, etag: writtenOf(annotation).etag };
}

/** The revision that an ETag names; a proxy that packs answers makes tags weak (`W/"3"`). */
export function revisionOf(etag: string | null): number | null {
  const found = /^(?:W\/)?"(\d+)"$/.exec(etag?.trim() ?? "");
  return found === null ? null : Number(found[1]);
}

export const readHeadLabels = (
  imageId: number,
  signal?: AbortSignal,
  newer: number | null = null,
): Promise<RawArray> => readRaw(`images/${imageId}/annotation/labels/${renewedBy(newer)}`, signal);

const renewedBy = (newer: number | null): string => (newer === null ? "" : `?prediction=${newer}`);

/** Write a new revision of an image that nobody leased. */
export async function putAnnotation(
  imageId: number,
  submission: Submission,
  etag: string,
): Promise<Written> {
  const response = await request("PUT", `images/${imageId}/annotation/`, {
    body: formOf(submission),
    headers: { "If-Match": etag, ...BRIEFLY },
  });
  return writtenOf((await response.json()) as Numbered);
}

/** Submit a leased image: writes the revision and closes the item. */
export async function submitItem(
  item: QueueItem,
  submission: Submission,
  etag: string,
): Promise<Written> {
  const response = await request("POST", `queue/${item.id}/submit/`, {
    body: formOf(submission),
    headers: { "If-Match": etag, ...BRIEFLY },
  });
  const { annotation } = (await response.json()) as { annotation: Numbered };
  return writtenOf(annotation);
}

type Numbered = Pick<Annotation, "revision">;

function writtenOf({ revision }: Numbered): Written {
  return { revision, etag: `"${revision}"` };
}

function formOf(submission: Submission): FormData {
  const { labels, shape, cells, completeRegions, secondsSpent, prediction, inPassing } = submission;
  const written = {
    shape,
    dtype: labels.dtype,
    cells,
    complete_regions: completeRegions,
    seconds_spent: Math.round(secondsSpent),
    ...(prediction === null ? {} : { prediction }),
    ...(inPassing === true ? { in_passing: true } : {}),
  };
  const form = new FormData();
  form.append("labels", new Blob([labels.bytes], { type: "application/gzip" }), "labels.bin.gz");
  form.append("document", JSON.stringify(written));
  return form;
}

async function unlessAbsent<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
