/**
 * The lease on the image at hand, counted down and renewed while somebody works, and the time
 * worked. An image opened by its address has no lease: then only the time counts.
 */
import { ApiError, isSignedOut, messageOf } from "../../api/client";
import { holdLease } from "../../api/queue";
import type { QueueItem } from "../../api/types";

/** At most this long between two heartbeats; a third of a shorter lease. */
const HEARTBEAT = 60_000;
/** Longer without a key or pointer is not counted as work. */
const IDLE_AFTER = 60_000;

export class Lease {
  secondsLeft = $state<number | null>(null);
  /** Why the lease is no longer ours; null while it is. */
  lost = $state<string | null>(null);
  /** The server did not answer the last heartbeat. */
  unreachable = $state(false);
  secondsSpent = 0;

  private until: number | null = null;
  /** How long one lease lasts, in milliseconds. */
  private length = Infinity;
  private over = $state(false);
  private lastBeat = Date.now();
  private lastActive = Date.now();

  constructor(private item: QueueItem | null) {
    if (item !== null) this.take(item);
  }

  /** True until the lease is lost, or the item submitted or skipped. */
  get held(): boolean {
    return this.item !== null && !this.over && this.lost === null;
  }

  /** The person did something. */
  touch(): void {
    this.lastActive = Date.now();
  }

  addSeconds(seconds: number): void {
    this.secondsSpent += seconds;
  }

  /** Gone, and not given up yet: whoever has the image now should not be worked against. */
  get blocking(): boolean {
    return this.lost !== null && !this.over;
  }

  /** The server says that the image is in other hands. */
  lose(why: string): void {
    if (!this.over) this.lost = why;
  }

  /** The server may answer again: ask at once. */
  renew(): void {
    if (this.held) void this.beat();
  }

  giveUp(): void {
    this.over = true;
    this.secondsLeft = null;
  }

  /** Tick once a second until the returned function is called. */
  start(): () => void {
    const timer = setInterval(() => {
      this.tick();
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }

  private tick(): void {
    const now = Date.now();
    const idle = now - this.lastActive;
    if (idle < IDLE_AFTER && !document.hidden) this.secondsSpent++;
    if (!this.held) return;
    if (this.until !== null) {
      this.secondsLeft = Math.max(0, Math.round((this.until - now) / 1000));
    }
    // Who has been away for a whole lease lets it run out, for others to take the image.
    const due = now - this.lastBeat >= Math.min(HEARTBEAT, this.length / 3);
    if (due && idle <= this.length) void this.beat();
  }

  private async beat(): Promise<void> {
    this.lastBeat = Date.now();
    if (this.item === null) return;
    try {
      this.take(await holdLease(this.item.id));
      this.unreachable = false;
    } catch (error) {
      // Who has to sign in again still has the lease.
      const signedOut = isSignedOut(error);
      const refused =
        !signedOut && error instanceof ApiError && [403, 404, 409].includes(error.status);
      if (refused) this.lose(messageOf(error));
      else this.unreachable = !signedOut;
    }
  }

  private take(item: QueueItem): void {
    this.item = item;
    const left = item.seconds_left;
    this.secondsLeft = left === null ? null : Math.round(left);
    this.until = left === null ? null : Date.now() + left * 1000;
    this.length = left === null ? Infinity : left * 1000;
  }
}
