/** Where a data set stands in the loop, in one sentence, and what a person can do about it. */
import type { Dataset, Role, Run } from "../api/types";
import { capital, count, duration, plural } from "./format";
import type { DatasetPageName } from "./router";

export interface LoopState {
  /** busy: the machine works; todo: a person is needed; calm: nothing has to happen. */
  tone: "busy" | "todo" | "calm";
  text: string;
  /** Where the thing to do is done. */
  page?: DatasetPageName;
}

const RANK: Record<Role, number> = { viewer: 0, annotator: 1, manager: 2 };

/** True when `role` includes what `needed` may do. */
export const may = (role: Role, needed: Role): boolean => RANK[role] >= RANK[needed];

/** ", 40 s left" of the step that a run is at; "" while nobody can tell. */
const timeLeft = ({ seconds_left: left }: Run): string =>
  left === null ? "" : `, ${duration(left)} left`;

/** " of 10" epochs; "" while nobody can tell, or where minutes end it and each guess differs. */
const whole = ({ epochs, timed }: Run): string =>
  epochs === 0 || timed ? "" : ` of ${count(epochs)}`;

/** One run in words: "Segmenter is training: epoch 3 of 10, 40 s left." */
export function runSentence(run: Run): string {
  const name = capital(run.family);
  switch (run.status) {
    case "queued":
      return `${name} training waits for a free worker.`;
    case "preparing":
      return run.progress === null
        ? `${name} training is preparing its snapshot of the corrected images.`
        : `${name} training is preparing: ${run.progress.step}${timeLeft(run)}.`;
    case "training":
      // How many epochs the time allows is known only after the first.
      if (run.epochs === 0) return `${name} is training its first epoch.`;
      return `${name} is training: epoch ${run.epoch}${whole(run)}${timeLeft(run)}.`;
    case "evaluating":
      return run.progress === null
        ? `${name} is being evaluated on the test images.`
        : `${name} is being evaluated: ${run.progress.step}${timeLeft(run)}.`;
    case "done":
      return run.message || `${name} training is done.`;
    case "failed":
      return run.message || `${name} training failed.`;
    case "cancelled":
      return run.message || `${name} training was cancelled.`;
  }
}

/** How far a run's step is, as a share of 0 to 1 and in words. */
export function runProgress(run: Run): { share: number; words: string } {
  const { progress, status, epoch, epochs } = run;
  if (progress !== null && status !== "training") {
    const { done, of } = progress;
    return { share: of > 0 ? done / of : 0, words: `${count(done)} of ${plural(of, "image")}` };
  }
  return {
    share: epochs > 0 && status === "training" ? epoch / epochs : 0,
    words: `${plural(epoch, "epoch")}${whole(run)}`,
  };
}

/** What the data set does now or needs next. `live` are its runs that are not over. */
export function loopState(dataset: Dataset, live: readonly Run[]): LoopState {
  const { counts, versions } = dataset;
  if (counts.images === 0) {
    return { tone: "todo", text: "No images yet: upload some to begin.", page: "upload" };
  }
  const [run] = live;
  if (run) return { tone: "busy", text: live.map(runSentence).join(" "), page: "training" };
  if (versions.segmenter === null) return firstModel(dataset);
  if (counts.pending > 0) {
    const verb = counts.pending === 1 ? "waits" : "wait";
    const text = `${plural(counts.pending, "image")} ${verb} for a prediction by ${modelNames(dataset)}.`;
    return { tone: "busy", text: `${text}${pace(dataset)}` };
  }
  if (counts.queued > 0) {
    return { tone: "todo", text: queueSentence(dataset), page: "correct" };
  }
  if (counts.annotated >= counts.images) {
    return { tone: "calm", text: "Every image is annotated.", page: "export" };
  }
  return { tone: "calm", text: "The queue is empty: no image waits for a correction." };
}

function firstModel({ counts }: Dataset): LoopState {
  const masked = counts.annotated + counts.in_parts;
  if (masked === 0) {
    const text =
      "No model and no masks yet: upload images with masks beside them, or draw the first by hand.";
    return { tone: "todo", text, page: "correct" };
  }
  const text = `No model yet: train the first segmenter on ${plural(masked, "annotated image")}.`;
  return { tone: "todo", text, page: "training" };
}

/** How fast the predictions come and when the last is there; "" while none come. */
function pace({ counts: { pending, images_per_minute: rate } }: Dataset): string {
  if (rate === 0) return "";
  const speed =
    rate < 1 ? `${count(Math.round(60 * rate))} an hour` : `${count(Math.round(rate))} a minute`;
  return ` At ${speed}, ${duration((60 * pending) / rate)} left.`;
}

function queueSentence(dataset: Dataset): string {
  const { queued } = dataset.counts;
  const asked = `${plural(queued, "image")} ${queued === 1 ? "waits" : "wait"} for a correction.`;
  if (dataset.retrain_after_cells === 0) return asked;
  return `${asked} Both models train again after ${count(dataset.retrain_after_cells)} newly corrected cells.`;
}

function modelNames({ versions }: Dataset): string {
  return [versions.segmenter, versions.detector].filter((name) => name !== null).join(" and ");
}
