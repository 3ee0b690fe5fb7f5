/**
 * The way of one image's work to the server and its safety until it is there: lease, what is
 * kept in the browser and as a draft, submitting, and what to do when somebody else was faster.
 */
import { putAnnotation, submitItem, type Head, type Submission } from "../../api/annotations";
import { ApiError, messageOf } from "../../api/client";
import { readDraft, type ServerDraft as Draft } from "../../api/drafts";
import { journalKey } from "../../api/journal";
import { encodeLabels, type EncodedLabels } from "../../api/labels";
import type { QueueItem } from "../../api/types";
import { cellsOf, sameDocument, type MaskDocument } from "../../core/document";
import { mergedSteps, type Disagreement } from "../../core/merge";
import type { Editor } from "./editor.svelte";
import { Lease } from "./lease.svelte";
import { Recorder, type Session } from "./recorder.svelte";
import { newest, originOf, restoredState, type Offer } from "./restoring";
import { ServerDraft } from "./serverDraft.svelte";
import { readTheirs, type Theirs } from "./theirs";

export type Trouble =
  | { readonly kind: "stale"; readonly message: string }
  | { readonly kind: "lease"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string };

export class Work {
  submitting = $state(false);
  trouble = $state.raw<Trouble | null>(null);
  /** Somebody's newer revision, while it is compared with the work at hand. */
  theirs = $state.raw<Theirs | null>(null);
  /** Unsubmitted work of an earlier visit, waiting for a decision. */
  offered = $state.raw<Offer | null>(null);
  /** The server's draft, where the browser's work is offered. */
  private spare: Offer | null = null;
  submittedAt = $state<number | null>(null);
  /** Number of the head revision this work began with or became; 0: none. */
  revision = $state(0);
  readonly lease: Lease;
  readonly recorder: Recorder;
  readonly server: ServerDraft;
  /** What the server has of this work; null: something else than the restored draft. */
  private saved = $state.raw<MaskDocument | null>(null);
  private readonly doc = $derived.by(() => this.editor.settled.doc);
  readonly unsaved = $derived.by(() => this.saved === null || !sameDocument(this.doc, this.saved));
  /** Neither this browser nor the server keeps what was done last. */
  readonly atRisk = $derived.by(
    () => this.unsaved && this.recorder.error !== null && this.server.saved !== this.doc,
  );
  /** Submitting would only repeat the revision there is. */
  readonly nothingNew = $derived.by(() => {
    const confirming = this.lease.held && this.submittedAt === null;
    return !this.unsaved && this.revision > 0 && !confirming;
  });
  /** Why nothing can be changed just now, though this person may annotate. */
  readonly locked = $derived.by<"lease" | "window" | null>(() => {
    if (this.recorder.taken) return "window";
    return this.lease.blocking ? "lease" : null;
  });

  /** Length of the history when the server had all of it; negative when that was before it. */
  private savedLength = $state(0);
  private etag: string;
  /** The prediction this work began with; null once there is a revision. */
  private prediction: number | null;
  /** When the document last changed: the stamp by which the newest draft is known. */
  private editedAt = 0;
  private stamped: MaskDocument;

  constructor(
    private readonly editor: Editor,
    username: string,
    readonly item: QueueItem | null,
  ) {
    const { doc, head, image, prediction } = editor.opened;
    this.saved = doc;
    this.stamped = doc;
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.prediction = this.revision === 0 ? (prediction?.id ?? null) : null;
    this.lease = new Lease(item);
    this.recorder = new Recorder(journalKey(username, image.id), doc, () => this.session());
    this.server = new ServerDraft(image.id, () => {
      if (!this.mayDraft) return null;
      const { doc, unsaved } = this;
      return { doc, unsaved, pack: () => this.packDraft(doc) };
    });
    editor.locked = () => this.locked !== null;
  }

  get image(): { readonly id: number; readonly name: string } {
    return this.editor.opened.image;
  }

  /** How many edits the server does not have as a revision. */
  get edits(): number {
    if (!this.unsaved) return 0;
    return Math.max(1, Math.abs(this.editor.settled.history.done.length - this.savedLength));
  }

  // --- drafts --------------------------------------------------------------------------------

  private get mayDraft(): boolean {
    return this.offered === null && !this.recorder.taken && !this.editor.viewOnly;
  }

  async lookForDraft(): Promise<void> {
    if (this.editor.viewOnly) return;
    const [journal, draft] = await Promise.all([
      this.recorder.find().catch((error: unknown) => {
        this.recorder.error = messageOf(error);
        return null;
      }),
      // Without an answer the work in this browser is the only one known.
      readDraft(this.image.id).catch(() => null),
    ]);
    if (draft !== null) this.server.found();
    this.offered = newest(journal, draft);
    if (this.offered === null) void this.recorder.prepare();
    this.spare = draft === null ? null : { where: "server", draft };
  }

  async restore(): Promise<void> {
    const offer = this.offered;
    if (offer === null) return;
    const { state, root } = await restoredState(offer, this.editor).catch((error: unknown) => {
      // A damaged journal must not cost what the server has.
      if (this.spare !== null) this.offered = this.spare;
      throw error;
    });
    const { etag, prediction, edits, savedAt, secondsSpent } = originOf(offer);
    const { opened } = this.editor;
    this.editor.state = state;
    this.editor.settled = state;
    // The draft's own base: had somebody saved since, submitting says so instead of overwriting.
    this.saved = etag === opened.head.etag ? opened.doc : null;
    this.etag = etag;
    this.prediction = prediction;
    this.lease.addSeconds(secondsSpent);
    this.savedLength = state.history.done.length - edits;
    this.editedAt = savedAt;
    this.stamped = state.doc;
    this.offered = null;
    if (offer.where === "browser") await this.recorder.adopt(offer.journal, root);
    else this.recorder.begin(root);
    this.keep();
  }

  async discardOffered(): Promise<void> {
    await this.dropDrafts();
    this.offered = null;
  }

  /** Call when the settled state has changed: the gesture is written down at once. */
  keep(): void {
    if (!this.mayDraft) return;
    this.stamp();
    void this.recorder.record();
    if (this.unsaved || this.server.savedAt !== null) this.server.soon();
  }

  /** Everything that is not safe yet, now. Resolves when the browser has it. */
  draftNow(): Promise<void> {
    if (!this.mayDraft) return Promise.resolve();
    this.stamp();
    void this.server.now();
    return this.recorder.record();
  }

  private stamp(): void {
    if (this.doc === this.stamped) return;
    this.stamped = this.doc;
    this.editedAt = Math.max(Date.now(), this.editedAt + 1);
  }

  private session(): Session {
    const { unsaved, etag, prediction, edits, editedAt: savedAt } = this;
    const { secondsSpent } = this.lease;
    const { history } = this.editor.settled;
    return { history, unsaved, etag, prediction, mark: { savedAt, edits, secondsSpent } };
  }

  private async packDraft(doc: MaskDocument): Promise<{ draft: Draft; labels: EncodedLabels }> {
    const { edits, prediction, editedAt: savedAt } = this;
    const { highest, regions } = doc;
    const base = Number(this.etag.replaceAll('"', ""));
    const cells = [...cellsOf(doc)].map(({ label, type, source }) => ({ label, type, source }));
    const work = { cells, highest, regions, edits, seconds_spent: this.lease.secondsSpent };
    const labels = await encodeLabels(doc.labels.flat());
    return { draft: { base, prediction, savedAt, work }, labels };
  }

  private async dropDrafts(): Promise<void> {
    await Promise.all([this.recorder.drop(), this.server.drop()]);
  }

  // --- submitting ----------------------------------------------------------------------------

  /** True when the server has the work. On failure `trouble` says why, and nothing is lost. */
  async submit(): Promise<boolean> {
    if (this.submitting || this.editor.readOnly) return false;
    this.editor.cancelGesture();
    this.submitting = true;
    this.trouble = null;
    try {
      this.stamp();
      await this.recorder.record();
      await this.server.alone(() => this.handIn());
      // What was drawn meanwhile is a draft on the new revision.
      await this.recorder.rebase();
      this.server.submitted();
      return true;
    } catch (error) {
      this.trouble = troubleOf(error, this.lease);
      if (this.trouble.kind === "lease") this.lease.lose(this.trouble.message);
      this.server.soon();
      return false;
    } finally {
      this.submitting = false;
    }
  }

  private async handIn(): Promise<void> {
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
    this.submitted(head, doc);
  }

  /** After a conflict: read the newer revision, to be laid beside the work at hand. */
  async compare(): Promise<void> {
    try {
      this.theirs = await readTheirs(this.image.id, this.doc.labels);
    } catch (error) {
      this.trouble = { kind: "failed", message: messageOf(error) };
    }
  }

  /** Make the work at hand, with what was taken of theirs, the next revision after theirs. */
  async submitMerged(theirs: Theirs, taken: readonly Disagreement[]): Promise<boolean> {
    // Whoever chooses cell by cell submits as a revision, with or without the lease.
    if (this.lease.blocking) this.lease.giveUp();
    if (this.submitting || this.editor.readOnly) return false;
    const { doc } = this;
    const steps = mergedSteps(doc, theirs.doc, taken);
    const name = `Take cells of revision ${theirs.head.annotation.revision}`;
    if (steps.length > 0) this.editor.dispatch({ kind: "edit", name, steps });
    this.etag = theirs.head.etag;
    this.revision = theirs.head.annotation.revision;
    this.prediction = null;
    this.saved = theirs.doc;
    this.theirs = null;
    this.trouble = null;
    if (this.unsaved) return this.submit();
    // All was taken from theirs: there is nothing to hand in.
    await this.dropDrafts();
    return true;
  }

  /** After a conflict: forget the draft; the page then loads the newer revision. */
  async takeTheirs(): Promise<void> {
    this.saved = this.doc;
    await this.dropDrafts();
  }

  /** The lease is lost: save as a revision all the same. */
  async submitWithoutLease(): Promise<boolean> {
    this.lease.giveUp();
    return this.submit();
  }

  private async submission(doc: MaskDocument): Promise<Submission> {
    return {
      labels: await encodeLabels(doc.labels.flat()),
      shape: [doc.labels.height, doc.labels.width],
      cells: [...cellsOf(doc)].map(({ label, type, source }) =>
        type === null || source === "" ? { label, type } : { label, type, type_source: source },
      ),
      completeRegions: doc.regions?.map(({ x0, y0, x1, y1 }) => [x0, y0, x1, y1]) ?? null,
      secondsSpent: this.lease.secondsSpent,
      prediction: this.prediction,
    };
  }

  private submitted(head: Head, doc: MaskDocument): void {
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.prediction = null;
    this.saved = doc;
    this.submittedAt = Date.now();
    this.lease.giveUp();
  }
}

function troubleOf(error: unknown, lease: Lease): Trouble {
  const message = messageOf(error);
  if (error instanceof ApiError && error.status === 412) return { kind: "stale", message };
  const refused = error instanceof ApiError && (error.status === 409 || error.status === 404);
  if (refused && lease.held) return { kind: "lease", message };
  return { kind: "failed", message };
}
