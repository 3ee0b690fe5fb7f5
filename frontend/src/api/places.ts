/** Places where a cell seems to be that no model drew: asked about one by one. */
import { sendJson } from "./client";
import type { AnsweredPlaces, Place, Verdict } from "./types";

export interface PlaceAnswer {
  readonly place: number;
  /** Accepted: a cell, as offered; retyped: and of this type; rejected: none. */
  readonly verdict: Verdict;
  readonly type?: string | null;
}

/** Leases places to answer for; `holding`: those at hand already, whose leases are renewed. */
export async function askPlaces(
  datasetId: number,
  count: number,
  holding: readonly number[],
): Promise<Place[]> {
  const path = `datasets/${datasetId}/places/next/`;
  return (await sendJson<{ places: Place[] }>("POST", path, { count, holding })).places;
}

/** `keepalive`: the page is going away. */
export const answerPlaces = (
  datasetId: number,
  answers: readonly PlaceAnswer[],
  seconds: number,
  keepalive = false,
): Promise<AnsweredPlaces> =>
  sendJson(
    "POST",
    `datasets/${datasetId}/places/answers/`,
    { answers, seconds_spent: seconds },
    { keepalive },
  );

export const releasePlaces = (
  datasetId: number,
  places: readonly number[],
  keepalive = false,
): Promise<null> =>
  sendJson("POST", `datasets/${datasetId}/places/release/`, { places }, { keepalive });
