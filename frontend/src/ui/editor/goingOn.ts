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

async function take(work: Work): Promise<boolean> {
  const { offers, recorder, sharing } = work;
  const held = await sharing.take();
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
  // What could not be kept is missing too, without having been handed in.
  if (work.recorder.error !== null) return false;
  return draft === null && journals.every((journal) => work.recorder.isAside(journal));
}
