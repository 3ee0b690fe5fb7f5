/** Masks from the flows that the server keeps of a prediction: no model runs for them. */
import type { Point, Span } from "../core/geometry";
import type { Thresholds } from "../core/thresholds";
import { request, sendJson } from "./client";
import { decode, type RawArray } from "./labels";

/** The cell under a pixel; an ApiError of status 404 says in words why there is none. */
export async function cellAt(
  imageId: number,
  { x, y }: Point,
  signal?: AbortSignal,
): Promise<Span[]> {
  const path = `images/${imageId}/prediction/cell/`;
  const body = { x: Math.floor(x), y: Math.floor(y) };
  const { spans } = await sendJson<{ spans: [y: number, x0: number, x1: number][] }>(
    "POST",
    path,
    body,
    { signal },
  );
  return spans.map(([row, x0, x1]) => ({ y: row, x0, x1 }));
}

/** The label image at other thresholds; nothing is stored. X-Prediction names the prediction. */
export async function masksAt(
  imageId: number,
  { cellprobThreshold, flowThreshold, minSize }: Thresholds,
  signal?: AbortSignal,
): Promise<RawArray> {
  const response = await request("POST", `images/${imageId}/prediction/masks/`, {
    headers: { Accept: "application/octet-stream" },
    body: {
      cellprob_threshold: cellprobThreshold,
      flow_threshold: flowThreshold,
      min_size: minSize,
    },
    signal,
  });
  return decode(await response.arrayBuffer(), response.headers);
}
