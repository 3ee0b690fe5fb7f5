/**
 * The draft of one image on the server, saved a moment after each edit. A server that is gone or
 * a sign-in that has expired never stands in the way of editing: it is tried again until it works.
 */
import { deleteDraft, putDraft, readDraft, type ServerDraft as Draft } from "../../api/drafts";
import { ApiError, isSignedOut, messageOf } from "../../api/client";
import type { EncodedLabels } from "../../api/labels";
import type { MaskDocument } from "../../core/document";
import { resting } from "./resting";

/** After the last edit, but never longer than LONGEST after the first that is not saved. */
const DELAY = 1_500;
const LONGEST = 4_000;
/** Packing a large image takes some milliseconds: they wait so long for the hand to rest. */
const REST = 500;
const FIRST_RETRY = 2_000;
const LAST_RETRY = 60_000;
/** A request without an answer after so long counts as failed. */
const PATIENCE = 30_000;

/** What is saved: asked anew at each saving. */
export interface Content {
  readonly doc: MaskDocument;
  /** False when a draft would only repeat what the server has as a revision. */
  readonly unsaved: boolean;
  /** Is a draft part of this work? */
  readonly covers: (draft: Draft) => boolean;
  readonly pack: () => Promise<{ draft: Draft; labels: EncodedLabels }>;
}

export class ServerDraft {
  savedAt = $state<number | null>(null);
  /** The document that the server has as a draft. */
  saved = $state.raw<MaskDocument | null>(null);
  unreachableSince = $state<number | null>(null);
  signedOut = $state(false);
  error = $state<string | null>(null);
  /** Work from elsewhere that this session does not include: it is not replaced unseen. */
  other = $state.raw<Draft | null>(null);

  /**
   * When the draft was saved that this session last read or wrote; null: there was none,
   * undefined: that is not known, and must be before anything is saved.
   */
  private seen: number | null | undefined;
  /** There may be a draft on the server. */
  private exists = false;
  /** A save got no answer: it may still reach the server. */
  private uncertain = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private askedSince: number | null = null;
  private retryAfter = FIRST_RETRY;
  private running = false;
  /** Aborted to tell saves that are not on their way yet that their work goes another way. */
  private hurry = new AbortController();
  private turns: Promise<void> = Promise.resolve();

  constructor(
    private readonly imageId: number,
    /** Null while nothing may be saved. */
    private readonly content: () => Content | null,
  ) {}

  /** Go on trying while the page is open; returns the way to stop. */
  start(): () => void {
    this.running = true;
    const online = (): void => {
      this.retry();
    };
    window.addEventListener("online", online);
    if (this.unreachableSince !== null) this.schedule(this.retryAfter);
    return () => {
      this.running = false;
      clearTimeout(this.timer);
      window.removeEventListener("online", online);
    };
  }

  /** What the server has was read, and a person decides what becomes of it. */
  found(draft: Draft | null): void {
    this.reached();
    this.seen = draft?.savedAt ?? null;
    this.exists = draft !== null;
    this.other = null;
  }

  /** Something changed. */
  soon(): void {
    // A server that is gone is asked when its time has come, not at each edit.
    if (this.unreachableSince !== null || this.signedOut) return;
    const now = Date.now();
    this.askedSince ??= now;
    this.schedule(Math.max(0, Math.min(DELAY, this.askedSince + LONGEST - now)));
  }

  /** What took the place of a save has failed: go on with drafts. */
  again(): void {
    if (this.unreachableSince === null) this.soon();
    else this.schedule(this.retryAfter);
  }

  now(): Promise<void> {
    clearTimeout(this.timer);
    this.askedSince = null;
    const { signal } = this.hurry;
    return this.inTurn(() => this.save(signal));
  }

  /** The server may be there again, or somebody has signed in. */
  retry(): void {
    this.signedOut = false;
    this.retryAfter = FIRST_RETRY;
    void this.now();
  }

  drop(): Promise<void> {
    clearTimeout(this.timer);
    return this.inTurn(async () => {
      if (this.other === null && this.seen !== undefined) await this.forget();
    });
  }

  /** Somebody wants the draft gone, whoever wrote it. Rejects when it stays. */
  async discard(): Promise<void> {
    await this.alone(() => this.forget());
  }

  /** The server drops a draft when its work is submitted; what was drawn since is a new one. */
  submitted(): void {
    this.exists = this.uncertain;
    this.seen = null;
    this.other = null;
    this.error = null;
    this.saved = null;
    this.savedAt = null;
    void this.now();
  }

  /**
   * Do `work` while no draft is on its way: one that arrives late would come back. A save that was
   * not sent yet is left out instead of being waited for.
   */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    clearTimeout(this.timer);
    this.hurry.abort();
    this.hurry = new AbortController();
    const working = this.turns.then(work);
    this.turns = working.then(
      () => undefined,
      () => undefined,
    );
    return working;
  }

  private async save(hurry: AbortSignal): Promise<void> {
    const leftOut = (): boolean => hurry.aborted;
    await resting(REST, hurry);
    const content = this.content();
    if (content === null) return;
    const { seen } = this;
    if (seen === undefined || this.other !== null) {
      await this.look(content);
      // What it found is known by now; else a person has to decide first.
      if (this.seen !== undefined && this.other === null) await this.save(hurry);
      return;
    }
    if (!content.unsaved) {
      if (this.exists) await this.forget();
      return;
    }
    if (content.doc === this.saved || leftOut()) return;
    const { draft, labels } = await content.pack();
    if (leftOut()) return;
    this.exists = true;
    this.uncertain = true;
    const signal = AbortSignal.timeout(PATIENCE);
    const kept = await putDraft(this.imageId, { draft, labels, replaces: seen }, signal);
    this.reached();
    this.seen = kept.savedAt;
    this.saved = content.doc;
    this.savedAt = Date.now();
  }

  /** Read what the server has. */
  private async look(content: Content): Promise<void> {
    const draft = await readDraft(this.imageId, AbortSignal.timeout(PATIENCE));
    this.found(draft);
    if (draft === null || content.covers(draft)) return;
    this.other = draft;
    this.error = "The server has other work of yours on this image, saved from elsewhere.";
  }

  private async forget(): Promise<void> {
    await deleteDraft(this.imageId);
    this.reached();
    this.seen = null;
    this.other = null;
    this.exists = false;
    this.saved = null;
    this.savedAt = null;
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    this.turns = this.turns.then(work).catch((error: unknown) => {
      this.failed(error);
    });
    return this.turns;
  }

  private reached(): void {
    this.uncertain = false;
    this.unreachableSince = null;
    this.signedOut = false;
    this.error = null;
    this.retryAfter = FIRST_RETRY;
  }

  /** A request about the draft failed. */
  failed(error: unknown): void {
    if (isSignedOut(error)) {
      this.signedOut = true;
      return;
    }
    const { status } = error instanceof ApiError ? error : { status: 0 };
    if (status === 409) {
      // Something else is there than was last seen here: look before the next try.
      this.uncertain = false;
      this.seen = undefined;
      this.schedule(this.retryAfter);
      this.retryAfter = Math.min(LAST_RETRY, this.retryAfter * 2);
      return;
    }
    if (status !== 0 && status !== 429 && status < 500) {
      this.error = messageOf(error);
      return;
    }
    this.unreachableSince ??= Date.now();
    this.schedule(this.retryAfter);
    this.retryAfter = Math.min(LAST_RETRY, this.retryAfter * 2);
  }

  private schedule(delay: number): void {
    clearTimeout(this.timer);
    if (!this.running) return;
    this.timer = setTimeout(() => void this.now(), delay);
  }
}
