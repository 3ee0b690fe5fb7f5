/** Unsubmitted work of earlier visits or from elsewhere: what there is to choose from. */
import type { ServerDraft as Draft } from "../../api/drafts";
import type { Journal } from "../../api/journal";
import type { Recorder } from "./recorder.svelte";
import { includes, journalOf, originOf, worthOffering, type Offer } from "./restoring";
import type { ServerDraft } from "./serverDraft.svelte";

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

  make(journals: readonly Journal[], draft: Draft | null): void {
    const kept = journals.map((journal): Offer => {
      return { where: this.recorder.isAside(journal) ? "aside" : "browser", journal };
    });
    this.show(draft === null ? kept : [...kept, { where: "server", draft }]);
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
