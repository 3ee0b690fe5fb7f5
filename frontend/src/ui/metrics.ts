/** Versions side by side: only metrics of the same frozen test set may be compared. */
import type { Evaluation, Metrics, ModelVersion } from "../api/types";
import { score } from "./format";

/** Metrics that are one number. */
export type Figure = {
  [K in keyof Metrics]-?: Metrics[K] extends number | null | undefined ? K : never;
}[keyof Metrics];

export interface MetricColumn {
  key: Figure;
  name: string;
  about: string;
  better: "high" | "low" | "near zero";
}

export interface VersionRow {
  version: ModelVersion;
  /** On the newest frozen test set, else on the newest older one. */
  evaluation: Evaluation | null;
  /** True when `evaluation` is of another test set than the one compared on. */
  stale: boolean;
}

export interface Comparison {
  rows: VersionRow[];
  columns: MetricColumn[];
  /** Images of the frozen test set compared on; null when nothing was evaluated yet. */
  images: number | null;
  /** Best value of each column on that test set. */
  best: Partial<Record<Figure, number>>;
}

const COLUMNS: readonly MetricColumn[] = [
  { key: "ap50", name: "AP@0.5", about: "AP (cellpose) at IoU 0.5", better: "high" },
  { key: "ap75", name: "AP@0.75", about: "AP (cellpose) at IoU 0.75", better: "high" },
  { key: "ap90", name: "AP@0.9", about: "AP (cellpose) at IoU 0.9", better: "high" },
  { key: "pq", name: "PQ", about: "Panoptic quality", better: "high" },
  { key: "aji", name: "AJI", about: "Aggregated Jaccard index", better: "high" },
  { key: "map", name: "mAP", about: "COCO mAP over IoU 0.5 to 0.95", better: "high" },
  {
    key: "type_accuracy",
    name: "Type acc.",
    about: "Share of matched cells whose type is right",
    better: "high",
  },
  {
    key: "macro_f1",
    name: "Macro F1",
    about:
      "Mean F1 of the types: of cells found and told right, rare types counting as frequent ones",
    better: "high",
  },
  {
    key: "type_accuracy_mixed",
    name: "Mixed acc.",
    about: "Share of matched cells of mixed cultures whose type is right",
    better: "high",
  },
  {
    key: "mono_mixed_gap",
    name: "Gap",
    about: "Type accuracy on single-type images minus that on mixed images; best near zero",
    better: "near zero",
  },
  {
    key: "type_calibration_error",
    name: "Calibration",
    about: "Expected calibration error of the types' chances",
    better: "low",
  },
  {
    key: "count_error",
    name: "Count error",
    about: "Mean relative error of the number of cells per image",
    better: "low",
  },
];

/** `versions` of one family, newest first, as the rows of one table. */
export function compare(versions: readonly ModelVersion[]): Comparison {
  const newest = latest(versions.flatMap(({ evaluations }) => onTest(evaluations)));
  const rows = versions.map((version): VersionRow => {
    const own = onTest(version.evaluations);
    const same = own.find(({ frozen_hash }) => frozen_hash === newest?.frozen_hash);
    const evaluation = same ?? latest(own);
    return { version, evaluation, stale: evaluation !== null && same === undefined };
  });
  const fresh = rows.flatMap(({ evaluation, stale }) => (evaluation && !stale ? [evaluation] : []));
  const columns = COLUMNS.filter(({ key }) =>
    rows.some(({ evaluation }) => evaluation?.metrics[key] != null),
  );
  const best: Comparison["best"] = {};
  for (const { key, better } of columns) {
    const values = fresh.flatMap(({ metrics }) => metrics[key] ?? []);
    if (values.length > 1) best[key] = values.reduce((a, b) => (isBetter(b, a, better) ? b : a));
  }
  return { rows, columns, images: newest?.images ?? null, best };
}

/** A metric as it stands in a table. */
export const metricText = (value: number | null | undefined): string => score(value, 3);

function isBetter(value: number, than: number, better: MetricColumn["better"]): boolean {
  if (better === "near zero") return Math.abs(value) < Math.abs(than);
  return better === "high" ? value > than : value < than;
}

function onTest(evaluations: readonly Evaluation[]): Evaluation[] {
  return evaluations.filter(({ split }) => split === "test");
}

function latest(evaluations: readonly Evaluation[]): Evaluation | null {
  return evaluations.reduce<Evaluation | null>(
    (best, next) => (best === null || next.created_at > best.created_at ? next : best),
    null,
  );
}
