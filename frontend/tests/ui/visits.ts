/** One person's visits to image 7, for the tests of what is kept between them. */
import { vi } from "vitest";
import { dropJournal, findJournals, journalKey } from "../../src/api/journal";
import { encodeLabels } from "../../src/api/labels";
import { deleteCells } from "../../src/core/commands";
import { cellsOf } from "../../src/core/document";
import { Editor } from "../../src/ui/editor/editor.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import { Work } from "../../src/ui/editor/work.svelte";
import { item, opened } from "./opened";

/** Packing and storage take their time on a busy machine. */
export const eventually = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 10_000 });
export const KEY = journalKey("alice", 7);
let visits: { readonly work: Work; readonly stop: () => void }[] = [];

export function workOn(editor: Editor, leased = false): Work {
  const work = new Work(editor, "alice", leased ? item : null);
  visits.push({ work, stop: () => undefined });
  return work;
}

/** What they still write is written before the next test begins, and nothing after it. */
export async function endAll(): Promise<void> {
  const ended = visits.map(async ({ work: { recorder, server }, stop }) => {
    stop();
    await recorder.handOver();
    await server.alone(() => Promise.resolve());
  });
  visits = [];
  await Promise.all(ended);
}

export async function forgetAll(): Promise<void> {
  for (const { base } of await findJournals(KEY)) await dropJournal(base.key);
}

/** Work of another computer: four edits, of which only cell 2 is left. */
export async function kept(writer: string, at: number) {
  const saved_at = new Date(at).toISOString();
  const { bytes: labels, dtype } = await encodeLabels(Uint32Array.of(0, 0, 0, 2, 2));
  const work = { cells: [{ label: 2, type: null, source: "" }], highest: 2, edits: 4, writer };
  return { document: { base: 0, prediction: 3, saved_at, work }, dtype, labels };
}

export function begin(image: Opened = opened(), leased = false) {
  const editor = new Editor(image, false);
  const work = new Work(editor, "alice", leased ? item : null);
  visits.push({ work, stop: work.server.start() });
  return { editor, work };
}

export async function comeBack(image: Opened = opened()) {
  const visit = begin(image);
  await visit.work.lookForDraft();
  return visit;
}

export const erase = (editor: Editor, label: number): boolean =>
  editor.run(deleteCells(new Set([label])));
export const labelsOf = (editor: Editor): number[] =>
  [...cellsOf(editor.state.doc)].map(({ label }) => label);
