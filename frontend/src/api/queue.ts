/** Leases: taking the next image, holding it, giving it back. */
import { sendJson } from "./client";
import type { QueueItem } from "./types";

/** Lease the most informative image; null when the queue is empty. */
export const leaseNext = (datasetId: number, signal?: AbortSignal): Promise<QueueItem | null> =>
  sendJson("POST", `datasets/${datasetId}/queue/next/`, undefined, { signal });

export const holdLease = (itemId: number): Promise<QueueItem> =>
  sendJson("POST", `queue/${itemId}/heartbeat/`);

export const releaseItem = (itemId: number): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/release/`);

export const skipItem = (itemId: number, reason: string): Promise<unknown> =>
  sendJson("POST", `queue/${itemId}/skip/`, { reason });
