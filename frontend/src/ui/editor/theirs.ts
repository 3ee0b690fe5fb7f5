/** Somebody's newer revision of the image at hand, as a document to compare with. */
import { readHead, readHeadLabels, revisionOf, type Head } from "../../api/annotations";
import { ApiError } from "../../api/client";
import { regionsOf } from "../../core/completeness";
import { openDocument, type CellMeta, type MaskDocument } from "../../core/document";
import type { LabelImage } from "../../core/labelImage";
import { compact, renamed } from "./opening";

export interface Theirs {
  readonly head: Head;
  readonly doc: MaskDocument;
}

/** Times that cells and labels are read until they belong to one revision. */
const READS = 3;

/** The head revision, of an image of the same size as `labels`. */
export async function readTheirs(imageId: number, labels: LabelImage): Promise<Theirs> {
  for (let left = READS; left > 0; left--) {
    const head = await readHead(imageId);
    const { revision, cells, complete_regions: complete } = head.annotation;
    const raw = revision === 0 ? null : await readHeadLabels(imageId);
    const said = raw === null ? null : revisionOf(raw.headers.get("ETag"));
    if (said !== null && said !== revision) continue;
    const metas = cells.map(({ label, type, type_source }): [number, CellMeta] => [
      label,
      { type, source: type === null ? "" : type_source },
    ]);
    const { flat, renumbered } = compact(raw?.values ?? null, labels.width * labels.height);
    const regions = regionsOf(complete);
    return { head, doc: openDocument(flat, labels, renamed(metas, renumbered), 0, regions) };
  }
  throw new ApiError("The image keeps changing on the server. Try again.", 0, "bad_answer");
}
