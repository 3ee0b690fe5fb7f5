/** The work at hand as the server takes it: as a draft, and handed in. */
import type { Submission } from "../../api/annotations";
import type { ServerDraft as Draft } from "../../api/drafts";
import { encodeLabels, type EncodedLabels } from "../../api/labels";
import type { LabelImage } from "../../core/labelImage";
import { cellsOf, type MaskDocument } from "../../core/document";
import type { Origin } from "./restoring";

/** A draft's labels are mostly those that are handed in: they are packed once. */
const packed = new WeakMap<LabelImage, EncodedLabels>();

export async function packLabels(labels: LabelImage): Promise<EncodedLabels> {
  const encoded = packed.get(labels) ?? (await encodeLabels(labels.flat()));
  packed.set(labels, encoded);
  return encoded;
}

export async function packDraft(
  doc: MaskDocument,
  { etag, prediction, savedAt, edits, secondsSpent: seconds_spent, writer, lineage }: Origin,
): Promise<{ draft: Draft; labels: EncodedLabels }> {
  const { highest, regions } = doc;
  const base = Number(etag.replaceAll('"', ""));
  const cells = [...cellsOf(doc)].map(({ label, type, source }) => ({ label, type, source }));
  const work = { cells, highest, regions, edits, seconds_spent, writer, lineage };
  const labels = await packLabels(doc.labels);
  return { draft: { base, prediction, savedAt, work }, labels };
}

export async function packSubmission(
  doc: MaskDocument,
  from: Pick<Submission, "secondsSpent" | "prediction" | "inPassing">,
  regions = doc.regions,
): Promise<Submission> {
  return {
    ...from,
    labels: await packLabels(doc.labels),
    shape: [doc.labels.height, doc.labels.width],
    cells: [...cellsOf(doc)].map(({ label, type, source }) =>
      type === null || source === "" ? { label, type } : { label, type, type_source: source },
    ),
    completeRegions: regions?.map(({ x0, y0, x1, y1 }) => [x0, y0, x1, y1]) ?? null,
  };
}
