/** Exports: asked for, watched, downloaded. */
import { getJson, sendJson } from "./client";
import type { Export, NewExport } from "./types";
import { watch, type Watcher } from "./watching";

export const startExport = (wanted: NewExport): Promise<Export> =>
  sendJson("POST", "exports/", wanted);

export const readExport = (id: number, signal?: AbortSignal): Promise<Export> =>
  getJson(`exports/${id}/`, { signal });

/** True when the export will not move on by itself. */
export const isDone = ({ status }: Pick<Export, "status">): boolean =>
  status === "done" || status === "failed";

/** Follows an export until it is done or the returned function is called. */
export const watchExport = (id: number, watcher: Watcher<Export>): (() => void) =>
  watch((signal) => readExport(id, signal), isDone, watcher);
