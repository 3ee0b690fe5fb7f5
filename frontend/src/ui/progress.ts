/** How far a data set is, as parts of a bar and as the score of its current model. */
import type { CurvePoint, DatasetCounts } from "../api/types";

export interface Part {
  /** 0 to 1 of the whole. */
  share: number;
  color: string;
}

/** Annotated images, then those that have only a prediction; the rest of the bar stays empty. */
export function progressParts(counts: DatasetCounts): Part[] {
  if (counts.images === 0) return [];
  const annotated = counts.annotated / counts.images;
  const reached = Math.max(counts.annotated, Math.min(counts.images, counts.predicted));
  return [
    { share: annotated, color: "var(--accent)" },
    { share: reached / counts.images - annotated, color: "var(--blue)" },
  ];
}

/** AP@0.5 of `version` from the learning curve; null when it was never evaluated. */
export function currentScore(curve: readonly CurvePoint[], version: string | null): number | null {
  return curve.find((point) => point.version === version)?.ap50 ?? null;
}
