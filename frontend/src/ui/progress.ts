/** How far a data set is, as parts of a bar and as the score of its current model. */
import type { DatasetCounts, ModelVersion } from "../api/types";
import { count, plural } from "./format";
import { compare } from "./metrics";

export interface Part {
  /** 0 to 1 of the whole. */
  share: number;
  color: string;
}

export const IN_PARTS_COLOR = "color-mix(in srgb, var(--accent) 45%, var(--surface-3))";

/** Images with a prediction of the current models and no annotation. */
export function predictedOnly({ images, annotated, in_parts, predicted }: DatasetCounts): number {
  return Math.max(0, Math.min(images, predicted) - annotated - in_parts);
}

/** Images with none of these. */
export function neither(counts: DatasetCounts): number {
  const { images, annotated, in_parts } = counts;
  return Math.max(0, images - annotated - in_parts - predictedOnly(counts));
}

/**
 * Annotated images, those annotated in parts, then those that have only a prediction; the rest of
 * the bar stays empty.
 */
export function progressParts(counts: DatasetCounts): Part[] {
  if (counts.images === 0) return [];
  return [
    { share: counts.annotated / counts.images, color: "var(--accent)" },
    { share: counts.in_parts / counts.images, color: IN_PARTS_COLOR },
    { share: predictedOnly(counts) / counts.images, color: "var(--blue)" },
  ];
}

/** What the bar says, in words. */
export function progressText({ annotated, images, in_parts, predicted }: DatasetCounts): string {
  const parts = [
    `${count(annotated)} annotated`,
    ...(in_parts > 0 ? [`${count(in_parts)} in parts`] : []),
    `${count(predicted)} predicted`,
  ];
  return `${plural(images, "image")}: ${parts.join(", ")}`;
}

/** Test AP@0.5 of the segmenter called `name` among all `versions`; null when nobody measured it. */
export function currentScore(
  versions: readonly ModelVersion[],
  name: string | null,
): number | null {
  const { rows } = compare(versions.filter(({ family }) => family === "segmenter"));
  const row = rows.find(({ version }) => version.version === name);
  return row?.evaluation?.metrics.ap50 ?? null;
}
