/**
 * The way of one image's work to the server and its safety until it is there: lease, drafts in
 * the browser, submitting, and what to do when somebody else was faster.
 */
import { dropDraft, draftKey, findDraft, keepDraft, type Draft } from "../../api/autosave";
import {
  putAnnotation,
  readHead,
  submitItem,
  type Head,
  type Submission,
} from "../../api/annotations";
import { ApiError, messageOf } from "../../api/client";
import { decodeLabels, encodeLabels } from "../../api/labels";
import type { QueueItem } from "../../api/types";
import {
  cellsOf,
  openDocument,
  sameDocument,
  type CellMeta,
  type MaskDocument,
  type TypeSource,
} from "../../core/document";
import { openState } from "../../core/state";
import type { Editor } from "./editor.svelte";
import { Lease } from "./lease.svelte";
import { evidenceOf, stillThere } from "./opening";

export type Trouble =
  | { readonly kind: "stale"; readonly message: string }
  | { readonly kind: "lease"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

const DRAFT_DELAY = 700;

export class Work {
  submitting = $state(false);
  trouble = $state.raw<Trouble | null>(null);
  /** An unsubmitted draft of an earlier visit, waiting for a decision. */
  offered = $state.raw<Draft | null>(null);
  draftedAt = $state<number | null>(null);
  draftError = $state<string | null>(null);
  submittedAt = $state<number | null>(null);
  /** Number of the head revision this work began with or became; 0: none. */
  revision = $state(0);
  readonly lease: Lease;
  /** What the server has of this work; null: something else than the restored draft. */
  private saved = $state.raw<MaskDocument | null>(null);
  private readonly doc = $derived.by(() => this.editor.settled.doc);
  readonly unsaved = $derived.by(() => this.saved === null || !sameDocument(this.doc, this.saved));
  /** Submitting would only repeat the revision there is. */
  readonly nothingNew = $derived.by(() => {
    const confirming = this.lease.held && this.submittedAt === null;
    return !this.unsaved && this.revision > 0 && !confirming;
  });

  /** Edits of the draft this work went on with. */
  private editsBefore = $state(0);
  /** Length of the history when the server had all of it. */
  private savedLength = $state(0);
  private etag: string;
  /** The prediction this work began with; null once there is a revision. */
  private prediction: number | null;
  private readonly key: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private drafted: MaskDocument | null = null;
  /** Drafts are written and dropped one after the other: an old one never comes back. */
  private writes: Promise<void> = Promise.resolve();

  constructor(
    private readonly editor: Editor,
    username: string,
    readonly item: QueueItem | null,
  ) {
    const { doc, head, image, prediction } = editor.opened;
    this.saved = doc;
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.prediction = this.revision === 0 ? (prediction?.id ?? null) : null;
    this.key = draftKey(username, image.id);
    this.lease = new Lease(item);
  }

  get image(): { readonly id: number; readonly name: string } {
    return this.editor.opened.image;
  }

  /** How many edits the server does not have. */
  get edits(): number {
    if (!this.unsaved) return 0;
    const since = this.editor.settled.history.done.length - this.savedLength;
    return Math.max(1, this.editsBefore + Math.abs(since));
  }

  // --- drafts --------------------------------------------------------------------------------

  async lookForDraft(): Promise<void> {
    try {
      this.offered = this.editor.readOnly ? null : await findDraft(this.key);
    } catch (error) {
      this.draftError = messageOf(error);
    }
  }

  async restore(): Promise<void> {
    const draft = this.offered;
    if (draft === null) return;
    const flat = await decodeLabels(draft.labels);
    const metas = draft.cells.map(({ label, type, source }): [number, CellMeta] => [
      label,
      { type, source: source as TypeSource },
    ]);
    const { opened, state } = this.editor;
    const doc = openDocument(flat, draft, metas, Math.max(draft.highest, opened.doc.highest));
    // Another prediction may be shown by now: its opinions stay with the cells it has in common.
    const evidence = evidenceOf(stillThere(doc, opened.predicted));
    this.editor.state = openState(doc, evidence, state.options);
    this.editor.settled = this.editor.state;
    // The draft's own base: had somebody saved since, submitting says so instead of overwriting.
    this.etag = draft.etag;
    this.prediction = draft.prediction;
    this.lease.addSeconds(draft.secondsSpent);
    this.draftedAt = draft.savedAt;
    this.editsBefore = draft.edits;
    this.savedLength = 0;
    this.saved = null;
    this.offered = null;
  }

  async discardOffered(): Promise<void> {
    await dropDraft(this.key);
    this.offered = null;
  }

  /** Call when the settled state has changed. */
  draftSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.draftNow(), DRAFT_DELAY);
  }

  /** Keep the work in this browser, or forget an earlier draft when nothing is unsaved. */
  draftNow(): Promise<void> {
    clearTimeout(this.timer);
    return this.inTurn(async () => {
      const { doc } = this;
      if (this.offered !== null) return;
      // All was undone or submitted: an earlier draft would only offer the same again.
      if (!this.unsaved) return this.draftedAt === null ? undefined : this.drop();
      if (this.drafted === doc) return;
      await keepDraft(await this.draftOf(doc));
      this.drafted = doc;
      this.draftedAt = Date.now();
      this.draftError = null;
    });
  }

  private inTurn(write: () => Promise<void>): Promise<void> {
    this.writes = this.writes.then(write).catch((error: unknown) => {
      this.draftError = messageOf(error);
    });
    return this.writes;
  }

  private async drop(): Promise<void> {
    await dropDraft(this.key);
    this.draftedAt = null;
    this.drafted = null;
    this.draftError = null;
  }

  private async draftOf(doc: MaskDocument): Promise<Draft> {
    const { width, height } = doc.labels;
    const cells = [...cellsOf(doc)].map(({ label, type, source }) => ({ label, type, source }));
    const { key, etag, prediction, edits } = this;
    const { secondsSpent } = this.lease;
    const base = { key, etag, prediction, edits, secondsSpent, highest: doc.highest };
    const labels = await encodeLabels(doc.labels.flat());
    return { ...base, width, height, labels, cells, savedAt: Date.now() };
  }

  // --- submitting ----------------------------------------------------------------------------

  /** True when the server has the work. On failure `trouble` says why, and nothing is lost. */
  async submit(): Promise<boolean> {
    if (this.submitting || this.editor.readOnly) return false;
    this.editor.cancelGesture();
    this.submitting = true;
    this.trouble = null;
    try {
      await this.draftNow();
      const { doc } = this;
      const length = this.editor.settled.history.done.length;
      const submission = await this.submission(doc);
      const held = this.lease.held ? this.item : null;
      const head =
        held === null
          ? await putAnnotation(this.image.id, submission, this.etag)
          : await submitItem(held, submission, this.etag);
      this.lease.addSeconds(-submission.secondsSpent);
      this.savedLength = length;
      await this.submitted(head, doc);
      return true;
    } catch (error) {
      this.trouble = troubleOf(error, this.lease);
      return false;
    } finally {
      this.submitting = false;
    }
  }

  /** After a conflict: make the work at hand the next revision after theirs. */
  async keepMine(): Promise<boolean> {
    try {
      this.etag = (await readHead(this.image.id)).etag;
    } catch (error) {
      this.trouble = { kind: "failed", message: messageOf(error) };
      return false;
    }
    return this.submit();
  }

  /** After a conflict: forget the draft; the page then loads the newer revision. */
  async takeTheirs(): Promise<void> {
    clearTimeout(this.timer);
    this.saved = this.doc;
    await this.inTurn(() => this.drop());
  }

  /** The lease is lost: save as a revision all the same. */
  async submitWithoutLease(): Promise<boolean> {
    this.lease.giveUp();
    return this.submit();
  }

  private async submission(doc: MaskDocument): Promise<Submission> {
    const { head } = this.editor.opened;
    return {
      labels: await encodeLabels(doc.labels.flat()),
      shape: [doc.labels.height, doc.labels.width],
      cells: [...cellsOf(doc)].map(({ label, type, source }) =>
        type === null || source === "" ? { label, type } : { label, type, type_source: source },
      ),
      completeRegions: head.annotation.complete_regions,
      secondsSpent: this.lease.secondsSpent,
      prediction: this.prediction,
    };
  }

  private async submitted(head: Head, doc: MaskDocument): Promise<void> {
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.prediction = null;
    this.editsBefore = 0;
    this.saved = doc;
    this.submittedAt = Date.now();
    this.lease.giveUp();
    // What was drawn meanwhile is a draft on the new revision.
    this.drafted = null;
    await this.draftNow();
  }
}

function troubleOf(error: unknown, lease: Lease): Trouble {
  const message = messageOf(error);
  if (error instanceof ApiError && error.status === 412) return { kind: "stale", message };
  const refused = error instanceof ApiError && (error.status === 409 || error.status === 404);
  if (refused && lease.held) return { kind: "lease", message };
  return { kind: "failed", message };
}
