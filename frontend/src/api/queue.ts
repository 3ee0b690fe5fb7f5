/** Leases: taking the next image, holding it, giving it back. */
import { getJson, sendJson } from "./client";
import type { Page, QueueItem } from "./types";

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

export const holdLease = (itemId: number): Promise<QueueItem> =>
  sendJson("POST", `queue/${itemId}/heartbeat/`);

/** `keepalive`: the page is going away. */
export const releaseItem = (itemId: number, keepalive = false): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/release/`, undefined, { keepalive });

export const skipItem = (itemId: number, reason: string): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/skip/`, { reason });
