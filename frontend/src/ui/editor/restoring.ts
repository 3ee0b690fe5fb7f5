/** Unsubmitted work of an earlier visit: where it is kept, and how it becomes the state again. */
import { readDraft, readDraftLabels, type DraftCell, type ServerDraft } from "../../api/drafts";
import { ApiError } from "../../api/client";
import type { Journal } from "../../api/journal";
import type { RawArray } from "../../api/labels";
import {
  openDocument,
  type CellMeta,
  type MaskDocument,
  type TypeSource,
} from "../../core/document";
import { replay } from "../../core/journal";
import { openState, type EditorState } from "../../core/state";
import type { Editor } from "./editor.svelte";
import { evidenceOf, stillThere } from "./opening";
import { unpackDocument } from "./recorder.svelte";

/** This browser has what was done and can undo it; the server has what came of it. */
export type Offer =
  | { readonly where: "browser"; readonly journal: Journal }
  | { readonly where: "server"; readonly draft: ServerDraft };

/** What an offer says of itself. */
export interface Origin {
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  readonly edits: number;
  readonly secondsSpent: number;
  /** The head revision's tag when the work began. */
  readonly etag: string;
  readonly prediction: number | null;
}

/** The newer of the two; the browser's where they are the same work. */
export function newest(journal: Journal | null, draft: ServerDraft | null): Offer | null {
  if (journal !== null && (draft === null || journal.mark.savedAt >= draft.savedAt)) {
    return { where: "browser", journal };
  }
  return draft === null ? null : { where: "server", draft };
}

export function originOf(offer: Offer): Origin {
  if (offer.where === "browser") {
    const { base, mark } = offer.journal;
    return { ...mark, etag: base.etag, prediction: base.prediction };
  }
  const { savedAt, work, base, prediction } = offer.draft;
  const { edits, seconds_spent: secondsSpent } = work;
  return { savedAt, edits, secondsSpent, etag: `"${base}"`, prediction };
}

/** The state that an offer stands for, and the document it began with. */
export async function restoredState(
  offer: Offer,
  editor: Editor,
): Promise<{ state: EditorState; root: MaskDocument }> {
  const { opened, state } = editor;
  const read =
    offer.where === "browser"
      ? await unpackDocument(offer.journal.base)
      : await readServerDocument(opened.image.id, offer.draft);
  const root = { ...read, highest: Math.max(read.highest, opened.doc.highest) };
  const begun = openState(root, new Map(), state.options, state.reference);
  const entries = offer.where === "browser" ? offer.journal.entries : [];
  const restored = replay(begun, entries);
  // Another prediction may be shown by now: its opinions stay with the cells it has in common.
  const evidence = evidenceOf(stillThere(restored.doc, opened.predicted));
  return { state: { ...restored, evidence }, root };
}

async function readServerDocument(imageId: number, draft: ServerDraft): Promise<MaskDocument> {
  const raw = await readDraftLabels(imageId);
  const saved = raw.headers.get("X-Saved-At");
  if (saved !== null && Date.parse(saved) !== draft.savedAt) {
    // Saved again in between, from elsewhere: cells and labels must be of one save.
    const newer = await readDraft(imageId);
    if (newer === null || newer.savedAt !== Date.parse(saved)) {
      throw new ApiError("The draft is being changed elsewhere. Try again.", 0, "bad_answer");
    }
    return documentOf(raw, newer);
  }
  return documentOf(raw, draft);
}

function documentOf(raw: RawArray, { work }: ServerDraft): MaskDocument {
  const [height = 0, width = 0] = raw.shape;
  const { highest, regions } = work;
  return openDocument(raw.values, { width, height }, work.cells.map(metaOf), highest, regions);
}

function metaOf({ label, type, source }: DraftCell): [number, CellMeta] {
  return [label, { type, source: source as TypeSource }];
}
