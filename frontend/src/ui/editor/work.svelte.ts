/**
 * The way of one image's work to the server and its safety until it is there: lease, what is
 * kept in the browser and as a draft, submitting, and what to do when somebody else was faster.
 */
import { putAnnotation, submitItem, type Written } from "../../api/annotations";
import { isSignedOut, messageOf } from "../../api/client";
import { readDraft, type ServerDraft as Draft } from "../../api/drafts";
import { journalKey, type Trace } from "../../api/journal";
import type { Held } from "../../api/tabs";
import type { QueueItem } from "../../api/types";
import { sameDocument, type MaskDocument } from "../../core/document";
import { mergedSteps, type Disagreement } from "../../core/merge";
import { NOTHING_DECIDED } from "../../core/review";
import type { Editor } from "./editor.svelte";
import { goOnHere } from "./goingOn";
import { Lease } from "./lease.svelte";
import { Offers, type Found } from "./offers.svelte";
import { packDraft, packSubmission } from "./packing";
import { Recorder, type Session } from "./recorder.svelte";
import { keepDecided } from "./reviewed";
import { includes, lineageAfter, originOf, restoredState, type Offer } from "./restoring";
import { ServerDraft } from "./serverDraft.svelte";
import { Sharing } from "./sharing.svelte";
import { readTheirs, type Theirs } from "./theirs";
import { troubleOf, type Trouble } from "./trouble";

export class Work {
  submitting = $state(false);
  trouble = $state.raw<Trouble | null>(null);
  /** Somebody's newer revision, while it is compared with the work at hand. */
  theirs = $state.raw<Theirs | null>(null);
  submittedAt = $state<number | null>(null);
  /** Number of the head revision this work began with or became; 0: none. */
  revision = $state(0);
  readonly lease: Lease;
  readonly recorder: Recorder;
  readonly server: ServerDraft;
  /** Unsubmitted work of earlier visits or from elsewhere, waiting for a decision. */
  readonly offers: Offers;
  /** Which tab of this browser has the image. */
  readonly sharing: Sharing;
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
    if (this.unsaved) return false;
    const { confirms, partly } = this.editor.askedCell;
    const confirming = (this.lease.held || confirms) && this.submittedAt === null;
    return (this.revision > 0 || partly) && !confirming;
  });
  /** Why nothing can be changed just now, though this person may annotate. */
  readonly locked = $derived.by<"lease" | "window" | null>(() => {
    if (this.recorder.taken || this.sharing.busy) return "window";
    return this.lease.blocking ? "lease" : null;
  });

  /** Length of the history when the server had all of it; negative when that was before it. */
  private savedLength = $state(0);
  private etag: string;
  /** The prediction this work began with; null where it goes on with a revision as it is. */
  private prediction: number | null;
  /** When the document last changed: the stamp by which the newest draft is known. */
  private editedAt = 0;
  private stamped: MaskDocument;
  private left = false;
  /** The work of other windows that this went on with. */
  private lineage: readonly Trace[] = [];
  /** Over when the latest submit is. */
  private handingIn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly editor: Editor,
    username: string,
    readonly item: QueueItem | null,
  ) {
    const { doc, head, image, prediction, newer } = editor.opened;
    this.saved = doc;
    this.stamped = doc;
    this.etag = head.etag;
    this.revision = head.annotation.revision;
    this.prediction = (this.revision === 0 ? prediction?.id : newer) ?? null;
    this.lease = new Lease(item);
    const key = journalKey(username, image.id);
    this.recorder = new Recorder(key, doc, () => this.session());
    this.sharing = new Sharing(key, this.recorder.writer, {
      held: () => this.held,
      handOver: () => this.handOver(),
    });
    this.server = new ServerDraft(image.id, () => {
      if (!this.mayDraft) return null;
      const { doc, unsaved } = this;
      const covers = (draft: Draft): boolean => this.covers(draft);
      return { doc, unsaved, covers, pack: () => packDraft(doc, this.origin) };
    });
    this.offers = new Offers(image.id, this.recorder, this.server);
    editor.locked = () => this.locked !== null;
  }

  /** The newest work that waits for a decision. */
  get offered(): Offer | null {
    return this.offers.list[0] ?? null;
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

  /** False where another tab has made a newer revision: then the image has to be opened anew. */
  async lookForDraft(): Promise<boolean> {
    if (this.editor.viewOnly) return true;
    // The queue says with the image whether the server has a draft of it.
    const noDraft = this.item?.draft === false;
    const [holder, found] = await Promise.all([this.sharing.ask(), this.offers.find(noDraft)]);
    if (holder !== null && holder.edits > 0) {
      this.recorder.taken = true;
      this.sharing.elsewhere = holder;
    } else if (holder === null) this.offer(found);
    else {
      await this.sharing.take();
      if (holder.revision > this.revision) return false;
      this.offer(await this.offers.find());
    }
    return true;
  }

  private offer(found: Found): void {
    this.offers.make(found);
    if (this.offered === null) void this.recorder.prepare();
  }

  // --- other tabs ----------------------------------------------------------------------------

  private get held(): Held | null {
    return this.left || this.recorder.taken || this.editor.viewOnly ? null : this.numbers;
  }

  private get numbers(): Held {
    const { edits, editedAt, revision, recorder } = this;
    return { writer: recorder.writer, edits, editedAt, revision, kept: !this.atRisk };
  }

  private async handOver(): Promise<Held> {
    this.editor.cancelGesture();
    this.offers.close();
    this.stamp();
    await Promise.all([this.recorder.handOver(), this.handingIn]);
    // After a submit the journal is gone, or has what was drawn meanwhile on the new revision.
    await this.recorder.handOver();
    // What they would do is the other tab's now.
    this.trouble = null;
    this.theirs = null;
    return this.numbers;
  }

  /** Nothing is done here any more: to the other tabs this one does not have the image. */
  leave(): void {
    this.left = true;
  }

  /** Have the image here instead of in the other tab; false: it has to be opened anew. */
  goOnHere(): Promise<boolean> {
    return goOnHere(this);
  }

  /** Lay the work at hand beside the server's: it was saved elsewhere since this was opened. */
  async compareDrafts(): Promise<void> {
    this.stamp();
    await this.recorder.record();
    // What this browser cannot keep must not be replaced by anything.
    if (this.unsaved && this.recorder.error !== null) return;
    try {
      const [journals, draft] = await Promise.all([this.recorder.find(), readDraft(this.image.id)]);
      this.server.found(draft);
      this.offers.make({ journals, draft });
    } catch (error) {
      this.server.failed(error);
    }
  }

  /** Go on with what is offered; what is in none of it is kept, to be offered again. */
  async restore(offer: Offer | null = this.offered): Promise<void> {
    if (offer === null) return;
    const { state, root } = await restoredState(offer, this.editor).catch((error: unknown) => {
      this.offers.cannotRead(offer);
      throw error;
    });
    const origin = originOf(offer);
    const { etag, prediction, edits, secondsSpent } = origin;
    if (!this.offers.isAtHand(offer)) this.lease.addSeconds(secondsSpent);
    const { head, doc } = this.editor.opened;
    // Its own base: had somebody saved since, submitting says so instead of overwriting.
    const saved = etag === head.etag ? doc : null;
    this.saved = etag === this.etag ? this.saved : saved;
    this.editedAt = await this.offers.choose(offer);
    this.lineage = lineageAfter(origin);
    this.editor.askedCell.share(state.doc);
    this.editor.state = state;
    this.editor.settled = state;
    this.etag = etag;
    this.prediction = prediction;
    this.savedLength = state.history.done.length - edits;
    this.stamped = state.doc;
    this.offers.close();
    // What is seen can be edited at once: it is written down in turn, after what comes here.
    this.sharing.busy = false;
    if (offer.where === "server") this.recorder.begin(root);
    else await this.recorder.adopt({ ...offer.journal, mark: this.session().mark }, root);
    if (offer.where === "aside") await this.recorder.discard(offer.journal);
    this.editor.run(this.editor.askedCell.mark);
    this.keep();
  }

  /** Forget what is offered, and what it includes. */
  async discardOffered(offer: Offer | null = this.offered): Promise<void> {
    if (offer !== null) await this.offers.discard(offer);
    keepDecided(this.editor.opened, NOTHING_DECIDED);
    this.keep();
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
    const { unsaved, etag, prediction, edits, editedAt: savedAt, lineage } = this;
    const { secondsSpent } = this.lease;
    const { history } = this.editor.settled;
    const mark = { savedAt, edits, secondsSpent, lineage };
    return { history, unsaved, etag, prediction, mark };
  }

  /** Is a draft of the server part of the work at hand? */
  private covers({ work, savedAt }: Draft): boolean {
    return includes(this.origin, { writer: work.writer, savedAt });
  }

  private get origin(): ReturnType<typeof originOf> {
    const { etag, prediction, edits, editedAt: savedAt, lineage, recorder } = this;
    const { secondsSpent } = this.lease;
    return { etag, prediction, edits, savedAt, secondsSpent, lineage, writer: recorder.writer };
  }

  private async dropDrafts(): Promise<void> {
    await Promise.all([this.recorder.drop(), this.server.drop()]);
  }

  // --- submitting ----------------------------------------------------------------------------

  /** True when the server has the work. On failure `trouble` says why, and nothing is lost. */
  async submit(): Promise<boolean> {
    // What is handed in is what is on the screen.
    if (this.submitting || this.editor.readOnly || this.editor.refuse()) return false;
    this.editor.cancelGesture();
    this.submitting = true;
    this.trouble = null;
    const submitting = this.send();
    this.handingIn = submitting;
    return submitting;
  }

  private async send(): Promise<boolean> {
    try {
      this.stamp();
      await this.recorder.record();
      await this.server.alone(() => this.handIn());
      // What was drawn meanwhile is a draft on the new revision.
      await this.recorder.rebase();
      this.server.submitted();
      return true;
    } catch (error) {
      if (isSignedOut(error)) this.server.failed(error);
      else this.trouble = troubleOf(error, this.lease);
      if (this.trouble?.kind === "lease") this.lease.lose(this.trouble.message);
      this.server.again();
      return false;
    } finally {
      this.submitting = false;
    }
  }

  /** Somebody has signed in again: what failed for want of that goes on. */
  renewed(): void {
    this.trouble = null;
    this.server.retry();
    this.lease.renew();
  }

  private async handIn(): Promise<void> {
    const { doc, prediction } = this;
    const length = this.editor.settled.history.done.length;
    const { regions, inPassing } = this.editor.askedCell.toSend(doc);
    const from = { secondsSpent: this.lease.secondsSpent, prediction, inPassing };
    const submission = await packSubmission(doc, from, regions);
    // The server forgets the draft it has with this, also one from elsewhere.
    const { other } = this.server;
    if (other !== null) await this.offers.putAside({ where: "server", draft: other });
    const held = this.lease.held ? this.item : null;
    const written =
      held === null
        ? await putAnnotation(this.image.id, submission, this.etag)
        : await submitItem(held, submission, this.etag);
    this.lease.addSeconds(-submission.secondsSpent);
    this.savedLength = length;
    this.editor.askedCell.sent = { doc, regions };
    this.submitted(written, doc);
  }

  /** After a conflict: read the newer revision, to be laid beside the work at hand. */
  async compare(): Promise<void> {
    try {
      const theirs = await readTheirs(this.image.id, this.doc.labels);
      if (!this.recorder.taken) this.theirs = theirs;
    } catch (error) {
      this.trouble = { kind: "failed", message: messageOf(error) };
    }
  }

  /** Make the work at hand, with what was taken of theirs, the next revision after theirs. */
  async submitMerged(
    theirs: Theirs,
    taken: readonly Disagreement[],
    theirRegions = false,
  ): Promise<boolean> {
    this.editor.show(null);
    // Whoever chooses cell by cell submits as a revision, with or without the lease.
    if (this.lease.blocking) this.lease.giveUp();
    if (this.submitting || this.editor.readOnly) return false;
    const { doc } = this;
    const steps = mergedSteps(doc, theirs.doc, taken, theirRegions);
    const name = `Take cells of revision ${theirs.head.annotation.revision}`;
    if (steps.length > 0) this.editor.dispatch({ kind: "edit", name, steps, everywhere: true });
    this.etag = theirs.head.etag;
    this.revision = theirs.head.annotation.revision;
    this.prediction = null;
    this.saved = theirs.doc;
    this.editor.askedCell.noteMerge(doc, theirs.doc, taken);
    this.theirs = null;
    this.trouble = null;
    // Even if it cannot be submitted now: what is kept builds on theirs.
    await this.recorder.rebase();
    if (this.unsaved || this.editor.askedCell.confirms) return this.submit();
    // All was taken from theirs: there is nothing to hand in.
    await this.dropDrafts();
    return true;
  }

  /** After a conflict: forget the draft; the page then loads the newer revision. */
  async takeTheirs(): Promise<void> {
    if (this.recorder.taken) return;
    this.saved = this.doc;
    keepDecided(this.editor.opened, NOTHING_DECIDED);
    await this.dropDrafts();
  }

  private submitted({ revision, etag }: Written, doc: MaskDocument): void {
    this.etag = etag;
    this.revision = revision;
    this.prediction = null;
    this.saved = doc;
    this.submittedAt = Date.now();
    keepDecided(this.editor.opened, NOTHING_DECIDED);
    this.lease.giveUp();
  }
}
