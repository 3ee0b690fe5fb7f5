/** Training runs. */
import { getJson, sendJson } from "./client";
import { openEvents } from "./events";
import type { NewRun, Page, Preflight, Run, RunDetail, RunStatus } from "./types";

const OVER: readonly RunStatus[] = ["done", "failed", "cancelled"];

/** True when the run will not move on by itself. */
export const isOver = (run: Pick<Run, "status">): boolean => OVER.includes(run.status);

export const listRuns = (datasetId: number, signal?: AbortSignal): Promise<Page<Run>> =>
  getJson("training-runs/", { query: { dataset: datasetId }, signal });

/** What a run would have to work with. */
export const readPreflight = (
  { dataset, family, base }: Pick<NewRun, "dataset" | "family" | "base">,
  signal?: AbortSignal,
): Promise<Preflight> =>
  getJson("training-runs/preflight/", {
    query: base ? { dataset, family, base } : { dataset, family },
    signal,
  });

export const startRun = (run: NewRun): Promise<Run> => sendJson("POST", "training-runs/", run);

export const readRun = (id: number, signal?: AbortSignal): Promise<RunDetail> =>
  getJson(`training-runs/${id}/`, { signal });

export const cancelRun = (id: number): Promise<Run> =>
  sendJson("POST", `training-runs/${id}/cancel/`);

export const resumeRun = (id: number): Promise<Run> =>
  sendJson("POST", `training-runs/${id}/resume/`);

/** Follows a run until it is over or the returned function is called. */
export function watchRun(id: number, onRun: (run: RunDetail) => void): () => void {
  const stop = openEvents(`training-runs/${id}/events/`, "run", (data) => {
    const run = JSON.parse(data) as RunDetail;
    onRun(run);
    if (isOver(run)) stop();
  });
  return stop;
}
