/** How far a data set is, as parts of a bar and as the score of its current model. */
import type { CurvePoint, DatasetCounts } from "../api/types";

export interface Part {
  /** 0 to 1 of the whole. */
  share: number;
  color: string;
}

/** Images with a prediction of the current models and no annotation. */
export function predictedOnly({ images, annotated, predicted }: DatasetCounts): number {
  return Math.max(0, Math.min(images, predicted) - annotated);
}

/** Annotated images, then those that have only a prediction; the rest of the bar stays empty. */
export function progressParts(counts: DatasetCounts): Part[] {
  if (counts.images === 0) return [];
  return [
    { share: counts.annotated / counts.images, color: "var(--accent)" },
    { share: predictedOnly(counts) / counts.images, color: "var(--blue)" },
  ];
}

/** AP@0.5 of `version` from the learning curve; null when it was never evaluated. */
export function currentScore(curve: readonly CurvePoint[], version: string | null): number | null {
  return curve.find((point) => point.version === version)?.ap50 ?? null;
}
