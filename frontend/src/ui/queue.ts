/** The queue in words: names of reasons, what their numbers say, how long the work will take. */
import type { QueueItem, Reason } from "../api/types";
import { capital, count, duration, percent } from "./format";

/** By code; others are called by their code. */
const NAMES: Readonly<Record<string, string>> = {
  region: "Wrong in the region",
  border: "Border",
  type: "Type",
  existence: "May not be there",
  segmenter_only: "Segmenter alone",
  detector_only: "Detector alone",
  missed: "Missed cells",
  empty: "Nothing found",
  uncertainty: "Uncertain as a whole",
  measuring: "Measures the models",
  no_model: "No model yet",
  not_predicted: "Not predicted",
  value: "Worth the time",
  committee: "Models disagree",
  bald: "Views disagree",
  diverse: "Unlike others",
  "uncertain-diverse": "Uncertain and unlike others",
  novel: "Unlike what was annotated",
  "uncertain-novel": "Uncertain, unlike what was annotated",
  "value-novel": "Worth the time, unlike what was annotated",
  representative: "Stands for many others",
  "uncertain-representative": "Stands for many uncertain others",
  balanced: "Rare types and batches",
  "mixed-quota": "Mixed in turn",
  random: "At random",
};

export const SORTS = {
  score: "Next first",
  uncertainty: "Most uncertain first",
  minutes: "Shortest first",
  reasons: "Most reasons first",
  number: "Largest number first",
} as const;
export type Sort = keyof typeof SORTS;

export interface QueueFilter {
  readonly reasons: readonly string[];
  readonly split: string;
  readonly culture: string;
  readonly sort: Sort;
}

export const NO_FILTER: QueueFilter = { reasons: [], split: "", culture: "", sort: "score" };

export function reasonName(code: string): string {
  return NAMES[code] ?? capital(code.replaceAll(/[_-]/g, " "));
}

/** The number of a reason, where its words do not say it already. */
export function reasonNumber({ value, text }: Reason): string | null {
  if (value === null) return null;
  const whole = Number.isInteger(value);
  if (whole && new RegExp(`(^|\\D)${value}(\\D|$)`).test(text)) return null;
  if (whole) return count(value);
  return value > 0 && value < 1 ? percent(value) : value.toPrecision(3);
}

/** "about 4 min"; null where nobody can tell. */
export function expected(minutes: number | null): string | null {
  return minutes === null ? null : `about ${duration(60 * roughly(minutes))}`;
}

/** To the minute from two minutes on, else to ten seconds. */
function roughly(minutes: number): number {
  return minutes >= 2 ? Math.round(minutes) : Math.max(1, Math.round(6 * minutes)) / 6;
}

/** The filter that an address names; what makes no sense is left out. */
export function filterOf(search: string): QueueFilter {
  const query = new URLSearchParams(search);
  const sort = query.get("sort") ?? "";
  return {
    reasons: query.getAll("reason").filter((code) => /^[a-z][a-z0-9_-]*$/.test(code)),
    split: query.get("split") ?? "",
    culture: query.get("culture") ?? "",
    sort: Object.hasOwn(SORTS, sort) ? (sort as Sort) : "score",
  };
}

/** "?reason=border&sort=minutes"; "" for the whole queue in its own order. */
export function searchOf({ reasons, split, culture, sort }: QueueFilter): string {
  const query = new URLSearchParams(reasons.map((code) => ["reason", code]));
  if (split !== "") query.set("split", split);
  if (culture !== "") query.set("culture", culture);
  if (sort !== "score") query.set("sort", sort);
  const written = query.toString();
  return written === "" ? "" : `?${written}`;
}

export const isFiltered = ({ reasons, split, culture }: QueueFilter): boolean =>
  reasons.length > 0 || split !== "" || culture !== "";

/** Whose an item is: nobody's, the viewer's or another's. */
export function holderOf(item: QueueItem, viewer: string): "nobody" | "viewer" | "other" {
  if (item.annotator === null) return "nobody";
  return item.annotator === viewer ? "viewer" : "other";
}
