// @vitest-environment jsdom
/** What becomes of the work when it is submitted; the server's answers are written out here. */
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropJournal, findJournal, journalKey } from "../../src/api/journal";
import { assignType, deleteCells, redo, undo } from "../../src/core/commands";
import { cellsOf } from "../../src/core/document";
import { disagreements } from "../../src/core/merge";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { evidenceOf, type Opened } from "../../src/ui/editor/opening";
import { Work } from "../../src/ui/editor/work.svelte";
import { json } from "../api/stubs";
import { item, opened, predictedCell, revision } from "./opened";
import { FakeServer } from "./server";
import { endAll, workOn } from "./visits";

let server: FakeServer;

beforeEach(async () => {
  await dropJournal(journalKey("alice", 7));
  server = new FakeServer();
});
afterEach(async () => {
  await endAll();
  vi.unstubAllGlobals();
});

function begin(leased: boolean, readOnly = false): { editor: Editor; work: Work } {
  return beginOn(opened(), leased, readOnly);
}

function beginOn(image: Opened, leased = false, readOnly = false) {
  const editor = new Editor(image, readOnly);
  return { editor, work: workOn(editor, leased) };
}

const sentDocument = (at: number): unknown =>
  JSON.parse(server.asked.at(at)?.form.get("document") as string);

it("the lease counts whole seconds, whatever the server sends", () => {
  const fraction = { ...item, seconds_left: 1799.9832 };
  expect(new Work(new Editor(opened(), false), "alice", fraction).lease.secondsLeft).toBe(1800);
});

describe("submitting", () => {
  it("a leased image hands in labels, types and where it began", async () => {
    const { editor, work } = begin(true);
    editor.run(deleteCells(new Set([2])));
    expect(work.unsaved).toBe(true);
    server.answers = [json({ annotation: revision(1), item: {} }, 201)];
    expect(await work.submit()).toBe(true);
    const [sent] = server.asked;
    expect(sent).toMatchObject({ method: "POST", path: "/api/v1/queue/12/submit/", etag: '"0"' });
    expect(JSON.parse(sent?.form.get("document") as string)).toMatchObject({
      shape: [1, 5],
      dtype: "uint16",
      cells: [{ label: 1, type: "HEK", type_source: "model" }],
      prediction: 3,
    });
    expect(work.unsaved).toBe(false);
    expect(work.revision).toBe(1);
  });

  it("again after it, without the lease, builds on the new revision", async () => {
    const { editor, work } = begin(true);
    server.answers = [json({ annotation: revision(1), item: {} }, 201), json(revision(2), 201)];
    await work.submit();
    editor.run(deleteCells(new Set([2])));
    expect(await work.submit()).toBe(true);
    expect(server.asked[1]).toMatchObject({
      method: "PUT",
      path: "/api/v1/images/7/annotation/",
      etag: '"1"',
    });
  });

  it("without a network says so and keeps the work unsaved, to be tried again", async () => {
    const { editor, work } = begin(false);
    editor.run(deleteCells(new Set([2])));
    expect(await work.submit()).toBe(false);
    expect(work.trouble).toMatchObject({ kind: "failed" });
    expect(work.unsaved).toBe(true);
    expect(editor.can(undo)).toBe(true);
    server.answers = [json(revision(1), 201)];
    expect(await work.submit()).toBe(true);
    expect(work.trouble).toBeNull();
  });

  it("over somebody's newer revision asks first; the cells of each can be handed in then", async () => {
    const { editor, work } = begin(false);
    editor.run(assignType([1], "N2a"));
    server.answers = [json({ message: "Saved by bob.", code: "stale_revision" }, 412)];
    expect(await work.submit()).toBe(false);
    expect(work.trouble).toEqual({ kind: "stale", message: "Saved by bob." });
    const headers = { ETag: '"4"', "X-Shape": "1,5", "X-Dtype": "uint16" };
    const labels = new Response(Uint16Array.of(1, 1, 6, 0, 0).buffer, { headers });
    server.answers = [json(revision(4)), labels];
    await work.compare();
    const { theirs } = work;
    if (theirs === null) throw new Error("nothing to compare with");
    // They drew a cell of their own and removed the second.
    const found = disagreements(editor.state.doc, theirs.doc);
    const added = found.filter(({ mine }) => mine === null);
    server.answers = [json(revision(5), 201)];
    expect(await work.submitMerged(theirs, added)).toBe(true);
    expect(server.asked.at(-1)).toMatchObject({ method: "PUT", etag: '"4"' });
    expect(sentDocument(-1)).toMatchObject({
      cells: [
        { label: 1, type: "N2a" },
        { label: 2, type: null },
        { label: 3, type: null },
      ],
    });
    expect([work.revision, work.unsaved]).toEqual([5, false]);
    editor.run(undo);
    expect([...cellsOf(editor.state.doc)]).toHaveLength(2);
  });

  it("merged with theirs, but not handed in, is kept as work on their revision", async () => {
    const { editor, work } = begin(false);
    editor.run(assignType([1], "N2a"));
    const headers = { ETag: '"4"', "X-Shape": "1,5", "X-Dtype": "uint16" };
    const labels = new Response(Uint16Array.of(1, 1, 6, 0, 0).buffer, { headers });
    server.answers = [json(revision(4)), labels];
    await work.compare();
    if (work.theirs === null) throw new Error("nothing to compare with");
    expect(await work.submitMerged(work.theirs, [])).toBe(false);
    const kept = await findJournal(journalKey("alice", 7));
    expect(kept?.base).toMatchObject({ etag: '"4"', prediction: null });
  });

  it("after the lease went to somebody else offers to save without it", async () => {
    const { editor, work } = begin(true);
    editor.run(deleteCells(new Set([2])));
    server.answers = [json({ message: "It is in the hands of bob.", code: "conflict" }, 409)];
    expect(await work.submit()).toBe(false);
    expect(work.trouble).toMatchObject({ kind: "lease" });
    expect([work.locked, editor.readOnly]).toEqual(["lease", true]);
    editor.run(deleteCells(new Set([1])));
    expect(editor.state.doc.geometry.size).toBe(1);
    server.answers = [json(revision(1), 201)];
    work.lease.giveUp();
    expect(await work.submit()).toBe(true);
    expect(server.asked.at(-1)?.path).toBe("/api/v1/images/7/annotation/");
  });
});

it("the time worked is sent once", async () => {
  const { editor, work } = begin(false);
  work.lease.addSeconds(40);
  server.answers = [json(revision(1), 201), json(revision(2), 201)];
  await work.submit();
  work.lease.addSeconds(5);
  editor.run(deleteCells(new Set([2])));
  await work.submit();
  expect([sentDocument(0), sentDocument(1)]).toMatchObject([
    { seconds_spent: 40 },
    { seconds_spent: 5 },
  ]);
});

describe("work is unsaved", () => {
  it("until it is undone to where it began", () => {
    const { editor, work } = begin(false);
    editor.run(deleteCells(new Set([2])));
    editor.run(undo);
    expect(work.unsaved).toBe(false);
    editor.run(redo);
    expect(work.unsaved).toBe(true);
  });

  it("not when edits come back to the same cells and types", () => {
    const { editor, work } = begin(false);
    editor.run(assignType([2], "HEK"));
    expect([work.unsaved, work.edits]).toEqual([true, 1]);
    editor.run(assignType([2], null));
    expect([work.unsaved, work.edits]).toEqual([false, 0]);
  });
});

describe("there is nothing new to submit", () => {
  const head = { annotation: revision(4), etag: '"4"' } as unknown as Opened["head"];

  it("on a revision opened by its address until something changes", () => {
    const { editor, work } = beginOn(opened({ head }));
    expect(work.nothingNew).toBe(true);
    editor.run(deleteCells(new Set([2])));
    expect(work.nothingNew).toBe(false);
  });

  it("but a leased image can be confirmed as it is, and a prediction too", () => {
    expect(beginOn(opened({ head }), true).work.nothingNew).toBe(false);
    expect(beginOn(opened()).work.nothingNew).toBe(false);
  });
});

describe("a draft", () => {
  /** What one visit left in the browser, and a later visit to `image`. */
  async function comeBack(image: Opened, first = opened()) {
    const { editor, work } = beginOn(first);
    editor.run(deleteCells(new Set([2])));
    await work.draftNow();
    const later = beginOn(image);
    await later.work.lookForDraft();
    await later.work.restore();
    return later;
  }

  it("restored after another model was promoted belongs to the prediction it began with", async () => {
    const predicted = [predictedCell(1, [0, 0, 2, 1]), predictedCell(2, [3, 0, 5, 1])];
    const newer = { id: 9, cells: [] } as unknown as Opened["prediction"];
    const promoted = opened({
      prediction: newer,
      predicted,
      evidence: evidenceOf(predicted, newer),
    });
    const { editor, work } = await comeBack(promoted);
    expect([...cellsOf(editor.state.doc)].map(({ label }) => label)).toEqual([1]);
    // The new model's opinion of cell 1 is of the same cell; its cell 2 is not in the draft.
    expect([...editor.state.evidence.keys()]).toEqual([1]);
    server.answers = [json(revision(1), 201)];
    await work.submit();
    expect(sentDocument(-1)).toMatchObject({ prediction: 3 });
  });

  it("does not lend another cell's opinion to a cell of the same number", async () => {
    const predicted = [predictedCell(1, [3, 0, 5, 1])];
    const { editor } = await comeBack(opened({ predicted, evidence: evidenceOf(predicted, null) }));
    expect(editor.state.evidence.size).toBe(0);
  });

  it("never gives the number of a deleted cell to a new one", async () => {
    const { doc } = opened();
    // Cells up to 9 were drawn and deleted before: only what is kept of it tells.
    const { editor } = await comeBack(opened(), opened({ doc: { ...doc, highest: 9 } }));
    expect(editor.state.doc.highest).toBe(9);
  });

  it("says how many edits it holds", async () => {
    const { editor, work } = await comeBack(opened());
    expect(work.edits).toBe(1);
    editor.run(assignType([1], null));
    expect(work.edits).toBe(2);
  });

  it("that cannot be written is said so, and tried again with the next edit", async () => {
    const { editor, work } = begin(false);
    server.down = true;
    const opening = vi.spyOn(IDBDatabase.prototype, "transaction");
    opening.mockImplementation(() => {
      throw new Error("The disk is full.");
    });
    editor.run(deleteCells(new Set([2])));
    await work.draftNow();
    expect([work.recorder.error, work.atRisk]).toEqual(["The disk is full.", true]);
    opening.mockRestore();
    editor.run(assignType([1], null));
    await work.draftNow();
    expect([work.recorder.error, work.atRisk]).toEqual([null, false]);
  });
});

it("who may only look changes nothing and submits nothing", async () => {
  const { editor, work } = begin(false, true);
  editor.run(deleteCells(new Set([2])));
  expect(editor.state.doc.geometry.size).toBe(2);
  expect(await work.submit()).toBe(false);
  expect(server.asked).toEqual([]);
});
