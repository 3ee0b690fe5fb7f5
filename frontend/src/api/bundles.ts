/** Training elsewhere: bundles that leave, and trained models that come back. */
import { sendJson } from "./client";
import type { Export, NewRun, Run } from "./types";

/** Asks for a bundle; it is watched and downloaded as an export. */
export const startBundle = (wanted: NewRun): Promise<Export> =>
  sendJson("POST", "training-bundles/", wanted);

/** Sends what a bundle's train.py wrote; the run takes it in. */
export function sendTrainedModel(datasetId: number, file: File): Promise<Run> {
  const form = new FormData();
  form.append("file", file, file.name);
  return sendJson("POST", `datasets/${datasetId}/trained-models/`, form);
}
