/** Exports: asked for, watched, downloaded. */
import { getJson, sendJson } from "./client";
import type { Export, NewExport } from "./types";

export const startExport = (wanted: NewExport): Promise<Export> =>
  sendJson("POST", "exports/", wanted);

export const readExport = (id: number, signal?: AbortSignal): Promise<Export> =>
  getJson(`exports/${id}/`, { signal });
