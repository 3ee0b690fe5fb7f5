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
import { cellsOf, openDocument, type CellMeta, type TypeSource } from "../../core/document";
import type { Gesture } from "../../core/history";
import { openState, type EditorState } from "../../core/state";
import type { Editor } from "./editor.svelte";
import { Lease } from "./lease.svelte";

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
  readonly unsaved = $derived.by(() => this.restored || this.top !== this.submittedTop);

  private restored = $state(false);
  private submittedTop = $state.raw<Gesture | undefined>(undefined);
  private readonly top = $derived.by(() => this.editor.settled.history.done.at(-1));
  private etag: string;
  private readonly key: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private drafted: EditorState | null = null;

  constructor(
    private readonly editor: Editor,
    username: string,
    readonly item: QueueItem | null,
  ) {
    const { head, image } = editor.opened;
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.key = draftKey(username, image.id);
    this.lease = new Lease(item);
  }

  get image(): { readonly id: number; readonly name: string } {
    return this.editor.opened.image;
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
    const doc = openDocument(flat, draft, metas);
    const { evidence, options } = this.editor.state;
    this.editor.state = openState(doc, evidence, options);
    this.editor.settled = this.editor.state;
    // The draft's own base: had somebody saved since, submitting says so instead of overwriting.
    this.etag = draft.etag;
    this.lease.addSeconds(draft.secondsSpent);
    this.draftedAt = draft.savedAt;
    this.restored = true;
    this.offered = null;
  }

  async discardOffered(): Promise<void> {
    this.offered = null;
    await dropDraft(this.key);
  }

  /** Call when the settled state has changed. */
  draftSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.draftNow(), DRAFT_DELAY);
  }

  /** Keep the work in this browser; does nothing when nothing is unsaved. */
  async draftNow(): Promise<void> {
    clearTimeout(this.timer);
    const { settled } = this.editor;
    if (this.offered !== null) return;
    if (!this.unsaved) return this.forgetDraft();
    if (this.drafted?.doc === settled.doc) return;
    try {
      await keepDraft(await this.draftOf(settled));
      this.drafted = settled;
      this.draftedAt = Date.now();
      this.draftError = null;
    } catch (error) {
      this.draftError = messageOf(error);
    }
  }

  /** All was undone: an earlier draft would only offer the same again. */
  private async forgetDraft(): Promise<void> {
    if (this.draftedAt === null) return;
    this.draftedAt = null;
    this.drafted = null;
    try {
      await dropDraft(this.key);
    } catch (error) {
      this.draftError = messageOf(error);
    }
  }

  private async draftOf({ doc }: EditorState): Promise<Draft> {
    const { width, height } = doc.labels;
    const cells = [...cellsOf(doc)].map(({ label, type, source }) => ({ label, type, source }));
    const labels = await encodeLabels(doc.labels.flat());
    const { key, etag } = this;
    const secondsSpent = this.lease.secondsSpent;
    return { key, etag, width, height, labels, cells, secondsSpent, savedAt: Date.now() };
  }

  // --- submitting ----------------------------------------------------------------------------

  /** True when the server has the work. On failure `trouble` says why, and nothing is lost. */
  async submit(): Promise<boolean> {
    if (this.submitting || this.editor.readOnly) return false;
    this.editor.cancelGesture();
    this.submitting = true;
    this.trouble = null;
    const top = this.top;
    try {
      await this.draftNow();
      const submission = await this.submission();
      const held = this.lease.held ? this.item : null;
      const head =
        held === null
          ? await putAnnotation(this.image.id, submission, this.etag)
          : await submitItem(held, submission, this.etag);
      await this.submitted(head, top);
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
    this.restored = false;
    this.submittedTop = this.top;
    await dropDraft(this.key);
  }

  /** The lease is lost: save as a revision all the same. */
  async submitWithoutLease(): Promise<boolean> {
    this.lease.giveUp();
    return this.submit();
  }

  private async submission(): Promise<Submission> {
    const { doc } = this.editor.settled;
    const { head, prediction } = this.editor.opened;
    return {
      labels: await encodeLabels(doc.labels.flat()),
      shape: [doc.labels.height, doc.labels.width],
      cells: [...cellsOf(doc)].map(({ label, type, source }) =>
        type === null || source === "" ? { label, type } : { label, type, type_source: source },
      ),
      completeRegions: head.annotation.complete_regions,
      secondsSpent: this.lease.secondsSpent,
      prediction: head.annotation.revision === 0 ? (prediction?.id ?? null) : null,
    };
  }

  private async submitted(head: Head, top: Gesture | undefined): Promise<void> {
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.restored = false;
    this.submittedTop = top;
    this.submittedAt = Date.now();
    this.lease.giveUp();
    clearTimeout(this.timer);
    await this.forgetDraft();
  }
}

function troubleOf(error: unknown, lease: Lease): Trouble {
  const message = messageOf(error);
  if (error instanceof ApiError && error.status === 412) return { kind: "stale", message };
  const refused = error instanceof ApiError && (error.status === 409 || error.status === 404);
  if (refused && lease.held) return { kind: "lease", message };
  return { kind: "failed", message };
}
