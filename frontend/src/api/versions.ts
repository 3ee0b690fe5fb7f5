/** Model versions: read, promote, download. */
import { addressOf, getAll, sendJson } from "./client";
import type { ModelVersion } from "./types";

/** All versions, newest first. */
export const listVersions = (datasetId: number, signal?: AbortSignal): Promise<ModelVersion[]> =>
  getAll("model-versions/", { query: { dataset: datasetId }, signal });

/** Makes a version the current one of its family; with an older version, this rolls back. */
export const promoteVersion = (id: number): Promise<ModelVersion> =>
  sendJson("POST", `model-versions/${id}/promote/`);

export const weightsAddress = (id: number): string => addressOf(`model-versions/${id}/weights/`);
