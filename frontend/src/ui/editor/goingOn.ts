/** Having an image in this tab instead of in another, with what was done there. */
import type { Held } from "../../api/tabs";
import type { Found } from "./offers.svelte";
import type { Offer } from "./restoring";
import type { Work } from "./work.svelte";

/** False where that builds on a newer revision or was undone: then it has to be opened anew. */
export async function goOnHere(work: Work): Promise<boolean> {
  const { sharing } = work;
  sharing.busy = true;
  try {
    const here = await take(work);
    sharing.elsewhere = null;
    return here;
  } finally {
    sharing.busy = false;
  }
}

/** Said of work that a tab cannot hand over. */
export const NOT_KEPT =
  "What was done there is in that tab only: this browser cannot keep it, and the server does not " +
  "have it. Submit it there first.";

async function take(work: Work): Promise<boolean> {
  const { offers, recorder, sharing } = work;
  if ((await sharing.ask())?.kept === false) throw new Error(NOT_KEPT);
  const held = await sharing.take();
  if (work.atRisk) {
    // What is nowhere but here is replaced by nothing; submitting tells who was faster.
    recorder.taken = false;
    return true;
  }
  const found = await offers.findAll();
  if (isOver(work, held, found)) return false;
  recorder.taken = false;
  offers.make(found);
  const theirs = offers.list.find(({ where }) => where === "browser");
  if (theirs !== undefined && !offers.isAtHand(theirs)) await restore(work, theirs);
  else if (offers.list.every((offer) => offers.isAtHand(offer))) {
    offers.close();
    await recorder.rebase();
  }
  return true;
}

async function restore(work: Work, theirs: Offer): Promise<void> {
  const { lease } = work;
  const own = lease.secondsSpent;
  // Their time has the time spent here before they went on.
  lease.addSeconds(-own);
  try {
    await work.restore(theirs);
  } catch (error) {
    lease.addSeconds(own);
    throw error;
  }
}

/** Was the work at hand made a revision, or undone, in the other tab? */
function isOver(work: Work, held: Held | null, { journals, draft }: Found): boolean {
  if (held !== null && held.revision > work.revision) return true;
  if (!work.unsaved) return false;
  if (held !== null) return held.edits === 0;
  // What the server has only is not in the journal, without having been handed in.
  if (work.recorder.error !== null) return false;
  return draft === null && journals.every((journal) => work.recorder.isAside(journal));
}
