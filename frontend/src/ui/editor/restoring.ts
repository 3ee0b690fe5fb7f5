/** Unsubmitted work of an earlier visit: where it is kept, and how it becomes the state again. */
import { readDraft, readDraftLabels, type DraftCell, type ServerDraft } from "../../api/drafts";
import { ApiError } from "../../api/client";
import type { Journal, Trace } from "../../api/journal";
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
import { packDocument, unpackDocument } from "./recorder.svelte";

/**
 * This browser has what was done and can undo it, also of work that was put aside; the server has
 * what came of it.
 */
export type Offer =
  | { readonly where: "browser" | "aside"; readonly journal: Journal }
  | { readonly where: "server"; readonly draft: ServerDraft };

/** Work of one window, with the work of others that it went on with. */
export interface Traced extends Trace {
  readonly lineage: readonly Trace[];
}

/** What an offer says of itself. */
export interface Origin extends Traced {
  readonly edits: number;
  readonly secondsSpent: number;
  /** The head revision's tag when the work began. */
  readonly etag: string;
  readonly prediction: number | null;
}

const LONGEST_LINEAGE = 50;

/** Has the work in `whole` all that `part` has? */
export function includes(whole: Traced, part: Trace): boolean {
  return [whole, ...whole.lineage].some(
    ({ writer, savedAt }) =>
      savedAt === part.savedAt || (writer === part.writer && savedAt > part.savedAt),
  );
}

/** The lineage of work that goes on with `origin`. */
export function lineageAfter({ writer, savedAt, lineage }: Traced): Trace[] {
  return [...lineage, { writer, savedAt }].slice(-LONGEST_LINEAGE);
}

/** What to choose from, the newest first: work that is in none of the others. */
export function worthOffering(found: readonly Offer[]): Offer[] {
  return found
    .filter((offer, at) => {
      const origin = originOf(offer);
      return !found.some((other, place) => {
        if (place === at || !includes(originOf(other), origin)) return false;
        // The same work twice is offered once: from the first that has it.
        return place < at || !includes(origin, originOf(other));
      });
    })
    .sort((a, b) => originOf(b).savedAt - originOf(a).savedAt);
}

export function originOf(offer: Offer): Origin {
  if (offer.where !== "server") {
    const { base, mark } = offer.journal;
    return { ...mark, etag: base.etag, prediction: base.prediction, writer: base.writer };
  }
  const { savedAt, work, base, prediction } = offer.draft;
  const { edits, seconds_spent: secondsSpent, writer, lineage } = work;
  return { savedAt, edits, secondsSpent, etag: `"${base}"`, prediction, writer, lineage };
}

/** The work of an offer as a journal: what only the server has is fetched. */
export async function journalOf(offer: Offer, imageId: number): Promise<Journal> {
  if (offer.where !== "server") return offer.journal;
  const { etag, prediction, writer, ...mark } = originOf(offer);
  const doc = await readServerDocument(imageId, offer.draft);
  const base = { ...(await packDocument(doc)), key: "", writer, etag, prediction };
  return { base, mark, entries: [] };
}

/** The state that an offer stands for, and the document it began with. */
export async function restoredState(
  offer: Offer,
  editor: Editor,
): Promise<{ state: EditorState; root: MaskDocument }> {
  const { opened, state } = editor;
  const read =
    offer.where === "server"
      ? await readServerDocument(opened.image.id, offer.draft)
      : await unpackDocument(offer.journal.base);
  const start = { ...read, highest: Math.max(read.highest, opened.doc.highest) };
  const begun = openState(start, new Map(), state.options, state.reference);
  const entries = offer.where === "server" ? [] : offer.journal.entries;
  const { state: restored, root } = replay(begun, entries);
  // Another prediction may be shown by now: its opinions stay with the cells it has in common.
  const evidence = evidenceOf(stillThere(restored.doc, opened.predicted), opened.prediction);
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
