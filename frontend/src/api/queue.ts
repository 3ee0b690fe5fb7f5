/** Leases: taking the next image, holding it, giving it back. */
import { sendJson } from "./client";
import type { QueueItem } from "./types";

/**
 * Lease the most informative image; null when the queue is empty. Not to be given up half-way: the
 * server may have leased the image already, and nobody would know which to give back.
 */
export const leaseNext = (datasetId: number): Promise<QueueItem | null> =>
  sendJson("POST", `datasets/${datasetId}/queue/next/`);

export const holdLease = (itemId: number): Promise<QueueItem> =>
  sendJson("POST", `queue/${itemId}/heartbeat/`);

/** `keepalive`: the page is going away. */
export const releaseItem = (itemId: number, keepalive = false): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/release/`, undefined, { keepalive });

export const skipItem = (itemId: number, reason: string): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/skip/`, { reason });
