/**
 * The draft of one image on the server, saved a moment after each edit. A server that is gone or
 * a sign-in that has expired never stands in the way of editing: it is tried again until it works.
 */
import { deleteDraft, putDraft, type ServerDraft as Draft } from "../../api/drafts";
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
  readonly pack: () => Promise<{ draft: Draft; labels: EncodedLabels }>;
}

export class ServerDraft {
  savedAt = $state<number | null>(null);
  /** The document that the server has as a draft. */
  saved = $state.raw<MaskDocument | null>(null);
  unreachableSince = $state<number | null>(null);
  signedOut = $state(false);
  error = $state<string | null>(null);

  /** There may be a draft on the server. */
  private exists = false;
  /** A save got no answer: it may still reach the server. */
  private uncertain = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private askedSince: number | null = null;
  private retryAfter = FIRST_RETRY;
  private running = false;
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
    return () => {
      this.running = false;
      clearTimeout(this.timer);
      window.removeEventListener("online", online);
    };
  }

  /** There was a draft when the image was opened. */
  found(): void {
    this.exists = true;
  }

  /** Something changed. */
  soon(): void {
    // A server that is gone is asked when its time has come, not at each edit.
    if (this.unreachableSince !== null || this.signedOut) return;
    const now = Date.now();
    this.askedSince ??= now;
    this.schedule(Math.max(0, Math.min(DELAY, this.askedSince + LONGEST - now)));
  }

  now(): Promise<void> {
    clearTimeout(this.timer);
    this.askedSince = null;
    return this.inTurn(() => this.save());
  }

  /** The server may be there again, or somebody has signed in. */
  retry(): void {
    this.signedOut = false;
    this.retryAfter = FIRST_RETRY;
    void this.now();
  }

  drop(): Promise<void> {
    clearTimeout(this.timer);
    return this.inTurn(() => this.forget());
  }

  /** The server drops a draft when its work is submitted; what was drawn since is a new one. */
  submitted(): void {
    this.exists = this.uncertain;
    this.saved = null;
    this.savedAt = null;
    void this.now();
  }

  /** Do `work` while no draft is on its way: one that arrives late would come back. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    clearTimeout(this.timer);
    await this.turns;
    const working = work();
    this.turns = working.then(
      () => undefined,
      () => undefined,
    );
    return working;
  }

  private async save(): Promise<void> {
    await resting(REST);
    const content = this.content();
    if (content === null) return;
    if (!content.unsaved) {
      if (this.exists) await this.forget();
      return;
    }
    if (content.doc === this.saved) return;
    const { draft, labels } = await content.pack();
    this.exists = true;
    this.uncertain = true;
    const signal = AbortSignal.timeout(PATIENCE);
    const kept = await putDraft(this.imageId, draft, labels, signal);
    this.reached();
    if (kept.savedAt > draft.savedAt) {
      this.error = "The server has newer work of yours on this image, saved from elsewhere.";
      return;
    }
    this.saved = content.doc;
    this.savedAt = Date.now();
  }

  private async forget(): Promise<void> {
    await deleteDraft(this.imageId);
    this.reached();
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

  private failed(error: unknown): void {
    if (isSignedOut(error)) {
      this.signedOut = true;
      return;
    }
    const { status } = error instanceof ApiError ? error : { status: 0 };
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
