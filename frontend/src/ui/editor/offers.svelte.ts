/** Unsubmitted work of earlier visits or from elsewhere: what there is to choose from. */
import { messageOf } from "../../api/client";
import { readDraft, type ServerDraft as Draft } from "../../api/drafts";
import type { Journal } from "../../api/journal";
import type { Recorder } from "./recorder.svelte";
import { includes, journalOf, originOf, worthOffering, type Offer } from "./restoring";
import type { ServerDraft } from "./serverDraft.svelte";

export interface Found {
  readonly journals: readonly Journal[];
  /** Undefined: the server did not say. */
  readonly draft: Draft | null | undefined;
}

export class Offers {
  /** The newest first. */
  list = $state.raw<readonly Offer[]>([]);
  /** All that was found; what others include is not offered. */
  private found: readonly Offer[] = [];

  constructor(
    private readonly imageId: number,
    private readonly recorder: Recorder,
    private readonly server: ServerDraft,
  ) {}

  /**
   * What this browser and the server have of earlier visits; the browser's may be unreadable. The
   * server is not asked for what it has just said: that there is no draft.
   */
  find(noDraft = false): Promise<Found> {
    return this.with(
      this.recorder.find().catch((error: unknown) => {
        this.recorder.error = messageOf(error);
        return [];
      }),
      noDraft,
    );
  }

  /** The same before work of another tab is replaced: rejects where it cannot be read. */
  findAll(): Promise<Found> {
    return this.with(this.recorder.find());
  }

  private async with(kept: Promise<Journal[]>, noDraft = false): Promise<Found> {
    const [journals, draft] = await Promise.all([kept, noDraft ? null : this.askForDraft()]);
    if (draft !== undefined) this.server.found(draft);
    return { journals, draft };
  }

  private askForDraft(): Promise<Draft | null | undefined> {
    // Without an answer nothing is saved there, lest it take the place of work not seen here.
    return readDraft(this.imageId).catch((error: unknown) => {
      this.server.failed(error);
      return undefined;
    });
  }

  make({ journals, draft }: Found): void {
    const kept = journals.map((journal): Offer => {
      return { where: this.recorder.isAside(journal) ? "aside" : "browser", journal };
    });
    this.show(draft == null ? kept : [...kept, { where: "server", draft }]);
  }

  /** A damaged journal must not cost what else there is. */
  cannotRead(offer: Offer): void {
    const others = this.found.filter((each) => each !== offer);
    if (offer.where !== "server" && others.length > 0) this.show(others);
  }

  /**
   * The work goes on from `chosen`: what that does not include is kept in this browser. Returns a
   * time later than all that it takes the place of.
   */
  async choose(chosen: Offer): Promise<number> {
    const origin = originOf(chosen);
    for (const offer of this.found) {
      if (offer === chosen) continue;
      if (!includes(origin, originOf(offer))) await this.putAside(offer);
      else if (offer.where !== "server") await this.recorder.discard(offer.journal);
    }
    const latest = Math.max(...this.found.map((offer) => originOf(offer).savedAt));
    return latest + 1;
  }

  async putAside(offer: Offer): Promise<void> {
    await this.recorder.putAside(await journalOf(offer, this.imageId));
  }

  /** It was decided what the work goes on from. */
  close(): void {
    this.show([]);
  }

  /** Forget `discarded` and what it includes. */
  async discard(discarded: Offer): Promise<void> {
    const origin = originOf(discarded);
    for (const offer of this.found) {
      if (!includes(origin, originOf(offer))) continue;
      if (offer.where === "server") await this.server.discard();
      else await this.recorder.discard(offer.journal);
      this.found = this.found.filter((each) => each !== offer);
    }
    // What is left may be the work at hand: then there is nothing to choose.
    const others = this.found.some((offer) => !this.isAtHand(offer));
    this.show(others ? this.found : []);
  }

  /** Is it what this window is at, rather than something from elsewhere? */
  isAtHand(offer: Offer): boolean {
    return originOf(offer).writer === this.recorder.writer;
  }

  private show(found: readonly Offer[]): void {
    this.found = found;
    this.list = worthOffering(found);
  }
}
