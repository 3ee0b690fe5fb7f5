/** How versions come from each other, laid out as lanes: one for each that began anew. */
import type { ModelVersion } from "../api/types";
import { compare } from "./metrics";

export interface LineageNode {
  version: ModelVersion;
  /** Column, oldest version first. */
  column: number;
  lane: number;
  /** Where the line to it begins: the version it continued; null when it began anew. */
  from: LineageNode | null;
  /** AP at IoU 0.5 on the newest frozen test images; null when it was not measured on them. */
  ap50: number | null;
}

/** `versions` of one family, in any order. */
export function lineage(versions: readonly ModelVersion[]): LineageNode[] {
  const fresh = new Map(
    compare(versions).rows.map(({ version, evaluation, stale }) => [
      version.id,
      stale ? null : (evaluation?.metrics.ap50 ?? null),
    ]),
  );
  const nodes = new Map<string, LineageNode>();
  /** Lanes whose last version nothing has continued yet. */
  const ends = new Map<number, string>();
  let lanes = 0;
  const oldest = [...versions].sort((a, b) => a.number - b.number);
  for (const [column, version] of oldest.entries()) {
    const from = nodes.get(version.start) ?? null;
    const goesOn = from !== null && ends.get(from.lane) === from.version.version;
    const lane = goesOn ? from.lane : lanes++;
    ends.set(lane, version.version);
    const ap50 = fresh.get(version.id) ?? null;
    nodes.set(version.version, { version, column, lane, from, ap50 });
  }
  return [...nodes.values()];
}
