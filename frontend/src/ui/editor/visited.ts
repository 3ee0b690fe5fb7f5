/** Which images the queue handed out in this window, by data set, the latest last. */
const visited = new Map<number, number[]>();

export function noteVisit(datasetId: number, imageId: number): void {
  const others = (visited.get(datasetId) ?? []).filter((id) => id !== imageId);
  visited.set(datasetId, [...others, imageId]);
}

/** The image that came before this one; null when none did. */
export function visitedBefore(datasetId: number, imageId: number): number | null {
  const all = visited.get(datasetId) ?? [];
  return all[all.indexOf(imageId) - 1] ?? null;
}
