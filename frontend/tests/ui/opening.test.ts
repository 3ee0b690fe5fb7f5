/** Opening an image while the server's workers go on. */
import { afterEach, expect, it, vi } from "vitest";
import { doubts } from "../../src/core/evidence";
import { evidenceOf, openImage } from "../../src/ui/editor/opening";
import type { PredictedCell, Prediction } from "../../src/api/types";
import { json, stubFetch } from "../api/stubs";
import { predictedCell } from "./opened";

const IMAGE = { id: 7, dataset: 1, culture: "mixed", channels: ["nucleus"] };
const HEAD = { revision: 0, cells: [] as object[], complete_regions: null };

afterEach(() => {
  vi.unstubAllGlobals();
});

function raw(bytes: number[], shape: string, headers: Record<string, string> = {}): Response {
  const known = { "X-Shape": shape, "X-Dtype": "uint16", ...headers };
  return new Response(Uint16Array.from(bytes).buffer, { headers: known });
}

/** A server whose newest prediction is `predictions`' first, then its second … at each reading. */
function serve(predictions: number[], labelsOf: number): void {
  let read = 0;
  stubFetch(({ address }) => {
    if (address.endsWith("/images/7/")) return json(IMAGE);
    if (address.endsWith("/datasets/1/")) return json({ id: 1, types: [], role: "annotator" });
    if (address.endsWith("/pixels/")) return raw([5, 6], "1,1,2");
    if (address.endsWith("/annotation/")) return json(HEAD);
    if (address.endsWith("/prediction/labels/")) {
      return raw([0, 1], "1,2", { "X-Prediction": String(labelsOf) });
    }
    const id = predictions[Math.min(read++, predictions.length - 1)];
    const cell = {
      label: 1,
      type: `type of ${id}`,
      bbox: [1, 0, 2, 1],
      probabilities: {},
      terms: {},
    };
    return json({ id, cells: [cell] });
  });
}

it("cells of one prediction never meet the labels of another", async () => {
  serve([3, 4], 4);
  const { prediction, doc } = await openImage(7, new AbortController().signal);
  expect(prediction?.id).toBe(4);
  expect(doc.meta.get(1)?.type).toBe("type of 4");
});

it("an image whose masks never hold still is not opened", async () => {
  serve([3], 4);
  await expect(openImage(7, new AbortController().signal)).rejects.toThrow("keep changing");
});

/** A revision whose labels say `etag`, of an image whose prediction has cells 1 and 9. */
function serveRevision(
  number: number,
  labels: number[],
  etag: string,
  predicted: number[] | null = null,
): void {
  const said = { score: 1, uncertainty: 0.5, probabilities: {}, terms: {}, seen_by: "both" };
  const cells = [
    { label: 1, type: "HEK", bbox: [1, 0, 2, 1], ...said },
    { label: 9, type: "HEK", bbox: [0, 0, 1, 1], ...said },
  ];
  stubFetch(({ address }) => {
    if (address.endsWith("/images/7/")) return json(IMAGE);
    if (address.endsWith("/datasets/1/")) return json({ id: 1, types: [], role: "annotator" });
    if (address.endsWith("/pixels/")) return raw([5, 6], "1,1,2");
    if (address.endsWith("/annotation/")) return json({ ...HEAD, revision: number });
    if (address.endsWith("/annotation/labels/")) return raw(labels, "1,2", { ETag: etag });
    if (address.endsWith("/prediction/labels/") && predicted !== null) {
      return raw(predicted, "1,2", { "X-Prediction": "3" });
    }
    return json({ id: 3, cells });
  });
}

it("a proxy that packs answers and marks their tags weak is no obstacle", async () => {
  serveRevision(2, [0, 1], 'W/"2"');
  const { head, evidence } = await openImage(7, new AbortController().signal);
  expect(head.etag).toBe('"2"');
  expect([...evidence.keys()]).toEqual([1]);
});

it("labels of another revision are not taken for this one's", async () => {
  serveRevision(2, [0, 1], '"3"');
  await expect(openImage(7, new AbortController().signal)).rejects.toThrow("keep changing");
});

it("a revision that deleted every cell has none that a model speaks of", async () => {
  serveRevision(2, [0, 0], '"2"');
  const { doc, evidence } = await openImage(7, new AbortController().signal);
  expect(evidence.size).toBe(0);
  // The next cell drawn gets a number that no predicted one had.
  expect(doc.highest).toBe(9);
});

it("a revision is opened beside what the model predicted", async () => {
  serveRevision(2, [1, 1], '"2"', [0, 1]);
  const { doc, model } = await openImage(7, new AbortController().signal);
  expect([...doc.labels.flat()]).toEqual([1, 1]);
  expect([...(model?.labels.flat() ?? [])]).toEqual([0, 1]);
  expect(model?.meta.get(1)).toEqual({ type: "HEK", source: "model" });
});

it("a prediction that cannot be read is no obstacle to opening a revision", async () => {
  serveRevision(2, [0, 1], '"2"');
  expect((await openImage(7, new AbortController().signal)).model).toBeNull();
});

it("an image that nobody revised is the model's own", async () => {
  serve([4], 4);
  const { doc, model } = await openImage(7, new AbortController().signal);
  expect(model).toBe(doc);
});

it("of a segmenter alone no cell is said to be seen by it only", () => {
  const [label, cell] = predictedCell(1, [0, 0, 1, 1]);
  const lonely: PredictedCell = { ...cell, seen_by: "segmenter", terms: { existence: 0.1 } };
  const reasons = [null, "detector-1"].map((detector) => {
    const evidence = evidenceOf([[label, lonely]], { detector } as Prediction).get(label);
    return evidence && doubts(evidence);
  });
  expect(reasons).toEqual([[], ["only the segmenter sees it"]]);
});

it("what is complete in parts is opened with the newest prediction elsewhere", async () => {
  const said = { score: 1, uncertainty: 0.5, probabilities: {}, terms: {}, seen_by: "both" };
  const cells = [{ label: 1, type: "HEK", bbox: [1, 0, 2, 1], ...said }];
  const before = { ...HEAD, revision: 2, complete_regions: [[0, 0, 1, 1]], prediction: 2 };
  stubFetch(({ address }) => {
    if (address.endsWith("/images/7/")) return json(IMAGE);
    if (address.endsWith("/datasets/1/")) return json({ id: 1, types: [], role: "annotator" });
    if (address.endsWith("/pixels/")) return raw([5, 6], "1,1,2");
    if (address.endsWith("/annotation/")) return json(before);
    // The number of the new cell was taken by one that somebody answered for.
    if (address.endsWith("/annotation/?prediction=3")) {
      const told = [1, 2].map((label) => ({ label, type: "HEK", type_source: "model" }));
      return json({ ...before, cells: told });
    }
    if (address.endsWith("/annotation/labels/?prediction=3")) {
      return raw([1, 2], "1,2", { ETag: '"2"' });
    }
    if (address.endsWith("/prediction/labels/")) return raw([0, 1], "1,2", { "X-Prediction": "3" });
    if (address.endsWith("/prediction/")) return json({ id: 3, cells });
    throw new Error(address);
  });
  const { doc, evidence, newer } = await openImage(7, new AbortController().signal);
  expect(newer).toBe(3);
  expect([...doc.labels.flat()]).toEqual([1, 2]);
  expect([...evidence.keys()]).toEqual([2]);
});
