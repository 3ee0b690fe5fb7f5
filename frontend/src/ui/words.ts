/** The states of rows as words and colours; the names of the pages. */
import type { ImageItem, ImageStatus, RunStatus, SearchStatus, Stage } from "../api/types";
import type { DatasetPageName } from "./router";

export type Tone = "plain" | "good" | "busy" | "warn" | "bad";

const IMAGE_NAMES: Record<ImageStatus, string> = {
  new: "waiting",
  predicted: "predicted",
  leased: "being corrected",
  in_parts: "annotated in parts",
  annotated: "annotated",
};
const IMAGE_TONES: Record<ImageStatus, Tone> = {
  new: "plain",
  predicted: "busy",
  leased: "warn",
  in_parts: "busy",
  annotated: "good",
};
const RUN_TONES: Record<RunStatus, Tone> = {
  queued: "plain",
  preparing: "busy",
  training: "busy",
  evaluating: "busy",
  done: "good",
  failed: "bad",
  cancelled: "warn",
};
const SEARCH_TONES: Record<SearchStatus, Tone> = {
  queued: "plain",
  searching: "busy",
  done: "good",
  failed: "bad",
  cancelled: "warn",
};
const STAGE_TONES: Record<Stage, Tone> = { candidate: "busy", current: "good", retired: "plain" };

export const PAGE_NAMES: Readonly<Record<DatasetPageName, string>> = {
  dataset: "Overview",
  queue: "Queue",
  correct: "Correct",
  gallery: "Gallery",
  upload: "Upload",
  models: "Models",
  training: "Training",
  export: "Export",
  settings: "Settings",
};

export const IMAGE_STATUSES = Object.keys(IMAGE_NAMES) as ImageStatus[];

export const statusName = ({ status }: Pick<ImageItem, "status">): string => IMAGE_NAMES[status];
export const statusTone = ({ status }: Pick<ImageItem, "status">): Tone => IMAGE_TONES[status];
export const runTone = (status: RunStatus): Tone => RUN_TONES[status];
export const searchTone = (status: SearchStatus): Tone => SEARCH_TONES[status];
export const stageTone = (stage: Stage): Tone => STAGE_TONES[stage];
