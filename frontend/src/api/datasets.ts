/** Data sets, their members, what their cells are and how their models grew. */
import { getAll, getJson, sendJson } from "./client";
import type {
  Composition,
  Dataset,
  DatasetSettings,
  LearningCurve,
  Member,
  NewDataset,
  ParsedName,
  QueueItem,
  Role,
  Split,
  Strategy,
} from "./types";

/** Names sent to the server in one preview request. */
export const PREVIEW_CHUNK = 500;

export const listDatasets = (signal?: AbortSignal): Promise<Dataset[]> =>
  getAll("datasets/", { signal });

export const readDataset = (id: number, signal?: AbortSignal): Promise<Dataset> =>
  getJson(`datasets/${id}/`, { signal });

export const createDataset = (dataset: NewDataset): Promise<Dataset> =>
  sendJson("POST", "datasets/", dataset);

export const changeDataset = (id: number, change: DatasetSettings): Promise<Dataset> =>
  sendJson("PATCH", `datasets/${id}/`, change);

/** What the server would make of each file name, in the order given. */
export async function previewNames(
  id: number,
  names: string[],
  pattern: string,
  signal?: AbortSignal,
): Promise<ParsedName[]> {
  const parsed: ParsedName[] = [];
  for (let start = 0; start < names.length; start += PREVIEW_CHUNK) {
    const answer = await sendJson<{ names: ParsedName[] }>(
      "POST",
      `datasets/${id}/name-preview/`,
      { names: names.slice(start, start + PREVIEW_CHUNK), pattern },
      { signal },
    );
    parsed.push(...answer.names);
  }
  return parsed;
}

export const listMembers = (id: number, signal?: AbortSignal): Promise<Member[]> =>
  getAll(`datasets/${id}/members/`, { signal });

/** Adds a member or changes the role of one. */
export const saveMember = (id: number, username: string, role: Role): Promise<Member> =>
  sendJson("POST", `datasets/${id}/members/`, { username, role });

export const removeMember = (id: number, username: string): Promise<null> =>
  sendJson("DELETE", `datasets/${id}/members/`, { username });

/** The open queue, most urgent first; leases nothing. */
export const listQueue = (id: number, signal?: AbortSignal): Promise<QueueItem[]> =>
  getAll(`datasets/${id}/queue/`, { signal }, 50);

/** The ways in which what is asked next can be chosen. */
export const listStrategies = (_: null, signal?: AbortSignal): Promise<Strategy[]> =>
  getJson("strategies/", { signal });

export const readComposition = (
  id: number,
  source: "heads" | "predictions",
  among: { split: Split | ""; culture: string },
  signal?: AbortSignal,
): Promise<Composition> =>
  getJson(`datasets/${id}/composition/`, { query: { source, ...among }, signal });

export const readLearningCurve = (id: number, signal?: AbortSignal): Promise<LearningCurve> =>
  getJson(`datasets/${id}/learning-curve/`, { signal });
