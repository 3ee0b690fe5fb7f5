/** The queue: looking at it, taking an image out of it, holding that, giving it back. */
import { getJson, sendJson } from "./client";
import type { Page, QueueFigures, QueueItem } from "./types";

/** `search` is "" or begins with a question mark: the filters and the order. */
export const listItems = (
  datasetId: number,
  search: string,
  signal?: AbortSignal,
): Promise<Page<QueueItem>> => getJson(`datasets/${datasetId}/queue/${search}`, { signal });

/** How many images are open and held, and how often each reason is told. */
export const readFigures = (
  datasetId: number,
  among: { split: string; culture: string },
  signal?: AbortSignal,
): Promise<QueueFigures> =>
  getJson(`datasets/${datasetId}/queue/reasons/`, { query: { ...among }, signal });

/** Lease this very image. */
export const takeItem = (itemId: number): Promise<QueueItem> =>
  sendJson("POST", `queue/${itemId}/take/`);

/**
 * Lease the most informative image; null when the queue is empty. Not to be given up half-way: the
 * server may have leased the image already, and nobody would know which to give back.
 */
export const leaseNext = (datasetId: number): Promise<QueueItem | null> =>
  sendJson("POST", `datasets/${datasetId}/queue/next/`);

/** What this person holds in a data set; leases nothing. */
export async function heldItems(datasetId: number, signal?: AbortSignal): Promise<QueueItem[]> {
  const path = `datasets/${datasetId}/queue/`;
  return (await getJson<Page<QueueItem>>(path, { query: { mine: true }, signal })).results;
}

/** The open item of an image; null where the queue does not ask about it. Leases nothing. */
export async function openItem(
  datasetId: number,
  image: number,
  signal?: AbortSignal,
): Promise<QueueItem | null> {
  const path = `datasets/${datasetId}/queue/`;
  const { results } = await getJson<Page<QueueItem>>(path, { query: { image }, signal });
  return results[0] ?? null;
}

export const holdLease = (itemId: number): Promise<QueueItem> =>
  sendJson("POST", `queue/${itemId}/heartbeat/`);

/** `keepalive`: the page is going away. */
export const releaseItem = (itemId: number, keepalive = false): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/release/`, undefined, { keepalive });

export const skipItem = (itemId: number, reason: string): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/skip/`, { reason });
