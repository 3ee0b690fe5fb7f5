/**
 * Which cells of a prediction were decided in this tab, so that a reload goes on where the review
 * was. What a decision changes in a cell is part of the work itself; that a cell was looked at and
 * left as it is, is not.
 */
import { NOTHING_DECIDED } from "../../core/review";
import { session } from "../session.svelte";
import type { Opened } from "./opening";

type Subject = Pick<Opened, "image" | "prediction">;

export function readDecided(opened: Subject): ReadonlySet<number> {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(keyOf(opened)) ?? "[]");
    if (!Array.isArray(kept)) return NOTHING_DECIDED;
    return new Set(kept.filter((label): label is number => Number.isInteger(label)));
  } catch {
    return NOTHING_DECIDED;
  }
}

export function keepDecided(opened: Subject, decided: ReadonlySet<number>): void {
  try {
    if (decided.size === 0) sessionStorage.removeItem(keyOf(opened));
    else sessionStorage.setItem(keyOf(opened), JSON.stringify([...decided]));
  } catch {
    // Storage is full or forbidden: a reload then begins the review anew.
  }
}

/** Another prediction numbers its cells anew. */
function keyOf({ image, prediction }: Subject): string {
  const who = session.me?.username ?? "";
  return `cytoloop:reviewed:${who}:${image.id}:${prediction?.id ?? 0}`;
}
