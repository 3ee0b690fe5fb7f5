/** Gold images, and how annotators do beside the truth and beside themselves. */
import { getJson, sendJson } from "./client";
import type { Agreement, GoldImage } from "./types";

export const goldImages = (datasetId: number, signal?: AbortSignal): Promise<GoldImage[]> =>
  getJson(`datasets/${datasetId}/gold/`, { signal });

export const setGold = (imageId: number, gold: boolean): Promise<GoldImage> =>
  sendJson("PUT", `images/${imageId}/gold/`, { gold });

export const agreementOf = (datasetId: number, signal?: AbortSignal): Promise<Agreement[]> =>
  getJson(`datasets/${datasetId}/agreement/`, { signal });
