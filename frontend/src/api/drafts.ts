/** Unsubmitted work kept on the server, one draft per person and image, and preferences. */
import type { MaskDocument } from "../core/document";
import { ApiError, getJson, request, sendJson } from "./client";
import { readRaw, type EncodedLabels, type RawArray } from "./labels";
import type { DraftRow, DraftSaid } from "./types";

export interface DraftCell {
  readonly label: number;
  readonly type: string | null;
  readonly source: string;
}

/** The browser's own part of a draft; the server keeps it as it is. */
export interface DraftWork {
  readonly cells: readonly DraftCell[];
  /** The highest label ever given in it, also to a cell deleted since. */
  readonly highest: number;
  readonly edits: number;
  readonly seconds_spent: number;
  readonly regions: MaskDocument["regions"];
}

export interface ServerDraft {
  /** Number of the head revision the work began with. */
  readonly base: number;
  /** The prediction the work began with; null when it began with a revision or with nothing. */
  readonly prediction: number | null;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  readonly work: DraftWork;
}

/** My draft of an image, without its labels; null when there is none. */
export async function readDraft(
  imageId: number,
  signal?: AbortSignal,
): Promise<ServerDraft | null> {
  try {
    return draftOf(await getJson<DraftSaid>(`images/${imageId}/draft/`, { signal }));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

export const readDraftLabels = (imageId: number): Promise<RawArray> =>
  readRaw(`images/${imageId}/draft/labels/`);

/**
 * Save a draft; may be repeated. The answer is the draft that the server has now: another one
 * than was sent when a newer one had been saved from elsewhere.
 */
export async function putDraft(
  imageId: number,
  { base, prediction, savedAt, work }: ServerDraft,
  labels: EncodedLabels,
  signal?: AbortSignal,
): Promise<ServerDraft> {
  const saved_at = new Date(savedAt).toISOString();
  const form = new FormData();
  form.append("labels", new Blob([labels.bytes], { type: "application/gzip" }), "labels.bin.gz");
  form.append(
    "document",
    JSON.stringify({ base, prediction, saved_at, dtype: labels.dtype, work }),
  );
  const response = await request("PUT", `images/${imageId}/draft/`, { body: form, signal });
  return draftOf((await response.json()) as DraftSaid);
}

export const deleteDraft = (imageId: number): Promise<unknown> =>
  sendJson("DELETE", `images/${imageId}/draft/`);

/** My drafts in a data set, newest first. */
export async function listDrafts(datasetId: number, signal?: AbortSignal): Promise<DraftRow[]> {
  const path = `datasets/${datasetId}/drafts/`;
  return (await getJson<{ drafts: DraftRow[] }>(path, { signal })).drafts;
}

/** How I look at a data set; {} at first. */
export const readServerPreferences = (
  datasetId: number,
  signal?: AbortSignal,
): Promise<Record<string, unknown>> => getJson(`datasets/${datasetId}/preferences/`, { signal });

/** Keep these values; keys not given stay. */
export const patchPreferences = (datasetId: number, values: object): Promise<unknown> =>
  sendJson("PATCH", `datasets/${datasetId}/preferences/`, values);

/** Other programs may have saved it: what they left out is taken for nothing. */
const NO_WORK: DraftWork = { cells: [], highest: 0, edits: 1, seconds_spent: 0, regions: null };

function draftOf({ base, prediction, saved_at, work }: DraftSaid): ServerDraft {
  const said = work as Partial<DraftWork>;
  return { base, prediction, savedAt: Date.parse(saved_at), work: { ...NO_WORK, ...said } };
}
