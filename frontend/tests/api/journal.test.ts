/** The browser's storage of work, on a real (in-memory) IndexedDB. */
import "fake-indexeddb/auto";
import { beforeEach, expect, it } from "vitest";
import {
  appendToJournal,
  asideKey,
  dropJournal,
  findJournal,
  findJournals,
  journalKey,
  TakenOver,
  upgrade,
  writeJournal,
  type JournalBase,
} from "../../src/api/journal";
import { encodeLabels } from "../../src/api/labels";
import type { Entry } from "../../src/core/journal";

const KEY = journalKey("alice", 7);
const OTHER = journalKey("alice", 8);
const mark = { savedAt: 10, edits: 1, secondsSpent: 3, lineage: [] };
const UNDO: Entry = { kind: "undo" };
const REDO: Entry = { kind: "redo" };
const stroke = (name: string): Entry => {
  const runs = Uint32Array.of(0, 5, 0, 1);
  const none = new Uint32Array();
  const steps = [{ kind: "runs", width: 10, runs } as const];
  return { kind: "do", gesture: { name, steps, selectionBefore: none, selectionAfter: none } };
};

async function base(key = KEY, writer = "here"): Promise<JournalBase> {
  const labels = await encodeLabels(Uint32Array.of(0, 1));
  const image = { width: 2, height: 1, labels, cells: [], highest: 1, regions: null };
  return { key, writer, etag: '"0"', prediction: null, ...image };
}

beforeEach(async () => {
  await dropJournal(KEY);
  await dropJournal(OTHER);
});

it("entries come back in the order in which they were added, and each image has its own", async () => {
  await writeJournal({ base: await base(), mark, entries: [stroke("one")] });
  await writeJournal({ base: await base(OTHER), mark, entries: [stroke("other")] });
  const writer = { key: KEY, writer: "here" };
  expect(await appendToJournal(writer, { ...mark, edits: 2 }, [stroke("two"), UNDO])).toBe(true);
  expect(await appendToJournal(writer, { ...mark, edits: 3 }, [REDO])).toBe(true);
  const found = await findJournal(KEY);
  expect(found?.entries).toEqual([stroke("one"), stroke("two"), UNDO, REDO]);
  expect(found?.mark.edits).toBe(3);
  expect((await findJournal(OTHER))?.entries).toEqual([stroke("other")]);
});

it("written anew, nothing of before is left", async () => {
  await writeJournal({ base: await base(), mark, entries: [stroke("one"), UNDO] });
  await writeJournal({ base: await base(), mark, entries: [stroke("two")] });
  expect((await findJournal(KEY))?.entries).toEqual([stroke("two")]);
});

it("written anew, it takes the place only of a window's that may be replaced", async () => {
  await writeJournal({ base: await base(KEY, "there"), mark, entries: [stroke("one")] });
  const anew = { base: await base(), mark, entries: [stroke("two")] };
  await expect(writeJournal(anew, ["here"])).rejects.toThrow(TakenOver);
  expect(await findJournal(KEY)).toMatchObject({
    base: { writer: "there" },
    entries: [stroke("one")],
  });
  await writeJournal(anew, ["here", "there"]);
  expect(await findJournal(KEY)).toMatchObject({
    base: { writer: "here" },
    entries: [stroke("two")],
  });
});

it("dropped, it is gone, and cannot be added to", async () => {
  await writeJournal({ base: await base(), mark, entries: [stroke("one")] });
  await dropJournal(KEY);
  expect(await findJournal(KEY)).toBeNull();
  expect(await appendToJournal({ key: KEY, writer: "here" }, mark, [UNDO])).toBe(false);
  expect(await findJournal(KEY)).toBeNull();
});

it("only the window that has it adds to it", async () => {
  await writeJournal({ base: await base(KEY, "there"), mark, entries: [stroke("one")] });
  const adding = appendToJournal({ key: KEY, writer: "here" }, { ...mark, edits: 9 }, [UNDO]);
  await expect(adding).rejects.toThrow(TakenOver);
  expect(await findJournal(KEY)).toMatchObject({ entries: [stroke("one")], mark: { edits: 1 } });
});

it("a window forgets only its own; whoever discards it forgets anybody's", async () => {
  await writeJournal({ base: await base(KEY, "there"), mark, entries: [stroke("one")] });
  await dropJournal(KEY, "here");
  expect((await findJournal(KEY))?.entries).toHaveLength(1);
  await dropJournal(KEY, "there");
  expect(await findJournal(KEY)).toBeNull();
  await writeJournal({ base: await base(KEY, "there"), mark, entries: [stroke("one")] });
  await dropJournal(KEY);
  expect(await findJournal(KEY)).toBeNull();
});

it("what was put aside is found with the image's own, and no other image's is", async () => {
  const aside = asideKey(KEY, { writer: "there", savedAt: 5 });
  const seventy = journalKey("alice", 70);
  for (const key of [KEY, aside, seventy, OTHER]) {
    await writeJournal({ base: await base(key), mark, entries: [stroke(key)] });
  }
  const found = (await findJournals(KEY)).map((journal) => journal.base.key);
  expect(found).toEqual([KEY, aside]);
  await dropJournal(aside);
  await dropJournal(seventy);
});

it("a newer version of the storage keeps the work of a released one", async () => {
  const open = (version: number, rows: (stores: IDBTransaction) => void): Promise<void> =>
    new Promise((resolve) => {
      const asked = indexedDB.open("versions", version);
      asked.onupgradeneeded = ({ oldVersion }) => {
        upgrade(asked.result, oldVersion);
      };
      asked.onsuccess = () => {
        const transaction = asked.result.transaction(["bases"], "readwrite");
        rows(transaction);
        transaction.oncomplete = () => {
          asked.result.close();
          resolve();
        };
      };
    });
  await open(3, (stores) => stores.objectStore("bases").put({ key: KEY, kept: true }));
  let found: unknown;
  await open(4, (stores) => {
    const asked = stores.objectStore("bases").get(KEY);
    asked.onsuccess = () => (found = asked.result);
  });
  expect(found).toMatchObject({ kept: true });
});
