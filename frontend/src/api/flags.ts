/** Flags: what annotators want the managers to look at. */
import { getAll, sendJson } from "./client";
import type { Flag } from "./types";

/** More than these nobody reads in a side panel. */
const MOST = 200;

/** Those of a data set, or of one image of it. */
export function openFlags(
  datasetId: number,
  signal?: AbortSignal,
  image?: number,
): Promise<Flag[]> {
  const query = { open: true, limit: MOST, image };
  return getAll(`datasets/${datasetId}/flags/`, { signal, query }, MOST);
}

export const raiseFlag = (imageId: number, note: string): Promise<Flag> =>
  sendJson("POST", `images/${imageId}/flags/`, { note });

export const resolveFlag = (flagId: number): Promise<Flag> =>
  sendJson("POST", `flags/${flagId}/resolve/`);
