/** Unsubmitted work kept on the server, one draft per person and image, and preferences. */
import type { MaskDocument } from "../core/document";
import type { Trace } from "./journal";
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
  /** The window that wrote it; "" where that is not known. */
  readonly writer: string;
  /** The work of other windows that it went on with. */
  readonly lineage: readonly Trace[];
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

/** A draft on its way, and when the one was saved that it is to replace; null: there is none. */
export interface SentDraft {
  readonly draft: ServerDraft;
  readonly labels: EncodedLabels;
  readonly replaces: number | null;
}

/**
 * Save a draft; may be repeated. Rejects with status 409 where another draft is there than the
 * one to replace, or one of this window. The answer tells when the server says it was saved.
 */
export async function putDraft(
  imageId: number,
  { draft, labels, replaces: seen }: SentDraft,
  signal?: AbortSignal,
): Promise<ServerDraft> {
  const { base, prediction, savedAt, work } = draft;
  const saved_at = new Date(savedAt).toISOString();
  const replaces = seen === null ? null : new Date(seen).toISOString();
  const form = new FormData();
  form.append("labels", new Blob([labels.bytes], { type: "application/gzip" }), "labels.bin.gz");
  form.append(
    "document",
    JSON.stringify({ base, prediction, saved_at, replaces, dtype: labels.dtype, work }),
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
const NO_WORK: DraftWork = {
  cells: [],
  highest: 0,
  edits: 1,
  seconds_spent: 0,
  regions: null,
  writer: "",
  lineage: [],
};

function draftOf({ base, prediction, saved_at, work }: DraftSaid): ServerDraft {
  const said = work as Partial<DraftWork>;
  return { base, prediction, savedAt: Date.parse(saved_at), work: { ...NO_WORK, ...said } };
}
