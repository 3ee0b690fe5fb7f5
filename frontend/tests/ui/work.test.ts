// @vitest-environment jsdom
/** What becomes of the work when it is submitted; the server's answers are written out here. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type * as autosave from "../../src/api/autosave";
import type { Draft } from "../../src/api/autosave";
import { assignType, deleteCells, redo, undo } from "../../src/core/commands";
import { cellsOf } from "../../src/core/document";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { evidenceOf, type Opened } from "../../src/ui/editor/opening";
import { Work } from "../../src/ui/editor/work.svelte";
import { item, opened, predictedCell, revision } from "./opened";

/** The browser's storage: what is in it, and why it refuses to write. */
const kept = vi.hoisted(() => ({
  drafts: new Map<string, Draft>(),
  refusal: null as string | null,
}));

vi.mock("../../src/api/autosave", async (original) => ({
  ...(await original<typeof autosave>()),
  keepDraft: (draft: Draft) => {
    if (kept.refusal !== null) return Promise.reject(new Error(kept.refusal));
    kept.drafts.set(draft.key, draft);
    return Promise.resolve();
  },
  findDraft: (key: string) => Promise.resolve(kept.drafts.get(key) ?? null),
  dropDraft: (key: string) => Promise.resolve(void kept.drafts.delete(key)),
}));

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly etag: string | null;
  readonly form: FormData;
}

let asked: Asked[] = [];
let answers: Response[] = [];

beforeEach(() => {
  asked = [];
  answers = [];
  kept.drafts.clear();
  kept.refusal = null;
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    const etag = new Headers(init.headers).get("If-Match");
    asked.push({ method: init.method ?? "GET", path, etag, form: init.body as FormData });
    const answer = answers.shift();
    return answer ? Promise.resolve(answer) : Promise.reject(new TypeError("Failed to fetch"));
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers });

function begin(leased: boolean, readOnly = false): { editor: Editor; work: Work } {
  return beginOn(opened(), leased, readOnly);
}

function beginOn(image: Opened, leased = false, readOnly = false) {
  const editor = new Editor(image, readOnly);
  return { editor, work: new Work(editor, "alice", leased ? item : null) };
}

const sentDocument = (at: number): unknown =>
  JSON.parse(asked.at(at)?.form.get("document") as string);

it("the lease counts whole seconds, whatever the server sends", () => {
  const fraction = { ...item, seconds_left: 1799.9832 };
  expect(new Work(new Editor(opened(), false), "alice", fraction).lease.secondsLeft).toBe(1800);
});

describe("submitting", () => {
  it("a leased image hands in labels, types and where it began", async () => {
    const { editor, work } = begin(true);
    editor.run(deleteCells(new Set([2])));
    expect(work.unsaved).toBe(true);
    answers = [json({ annotation: revision(1), item: {} }, 201)];
    expect(await work.submit()).toBe(true);
    const [sent] = asked;
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
    answers = [json({ annotation: revision(1), item: {} }, 201), json(revision(2), 201)];
    await work.submit();
    editor.run(deleteCells(new Set([2])));
    expect(await work.submit()).toBe(true);
    expect(asked[1]).toMatchObject({
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
    answers = [json(revision(1), 201)];
    expect(await work.submit()).toBe(true);
    expect(work.trouble).toBeNull();
  });

  it("over somebody's newer revision asks first; keeping mine makes it the next one", async () => {
    const { editor, work } = begin(false);
    editor.run(deleteCells(new Set([2])));
    answers = [json({ message: "Saved by bob.", code: "stale_revision" }, 412)];
    expect(await work.submit()).toBe(false);
    expect(work.trouble).toEqual({ kind: "stale", message: "Saved by bob." });
    answers = [json(revision(4), 200, { ETag: '"4"' }), json(revision(5), 201)];
    expect(await work.keepMine()).toBe(true);
    expect(asked.at(-1)).toMatchObject({ method: "PUT", etag: '"4"' });
    expect(work.revision).toBe(5);
  });

  it("after the lease went to somebody else offers to save without it", async () => {
    const { editor, work } = begin(true);
    editor.run(deleteCells(new Set([2])));
    answers = [json({ message: "It is in the hands of bob.", code: "conflict" }, 409)];
    expect(await work.submit()).toBe(false);
    expect(work.trouble).toMatchObject({ kind: "lease" });
    answers = [json(revision(1), 201)];
    expect(await work.submitWithoutLease()).toBe(true);
    expect(asked.at(-1)?.path).toBe("/api/v1/images/7/annotation/");
  });
});

it("the time worked is sent once", async () => {
  const { editor, work } = begin(false);
  work.lease.addSeconds(40);
  answers = [json(revision(1), 201), json(revision(2), 201)];
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
  async function comeBack(image: Opened) {
    const { editor, work } = begin(false);
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
    const promoted = opened({ prediction: newer, predicted, evidence: evidenceOf(predicted) });
    const { editor, work } = await comeBack(promoted);
    expect([...cellsOf(editor.state.doc)].map(({ label }) => label)).toEqual([1]);
    // The new model's opinion of cell 1 is of the same cell; its cell 2 is not in the draft.
    expect([...editor.state.evidence.keys()]).toEqual([1]);
    answers = [json(revision(1), 201)];
    await work.submit();
    expect(sentDocument(-1)).toMatchObject({ prediction: 3 });
  });

  it("does not lend another cell's opinion to a cell of the same number", async () => {
    const predicted = [predictedCell(1, [3, 0, 5, 1])];
    const { editor } = await comeBack(opened({ predicted, evidence: evidenceOf(predicted) }));
    expect(editor.state.evidence.size).toBe(0);
  });

  it("never gives the number of a deleted cell to a new one", async () => {
    const { editor } = await comeBack(opened());
    expect(editor.state.doc.highest).toBe(2);
  });

  it("says how many edits it holds", async () => {
    const { editor, work } = await comeBack(opened());
    expect(work.edits).toBe(1);
    editor.run(assignType([1], null));
    expect(work.edits).toBe(2);
  });

  it("of what was drawn during the submit is kept, on the revision that came of it", async () => {
    const { editor, work } = begin(false);
    editor.run(deleteCells(new Set([2])));
    let answer: (response: Response) => void = () => undefined;
    const fetching = vi.fn(() => new Promise<Response>((resolve) => (answer = resolve)));
    vi.stubGlobal("fetch", fetching);
    const submitting = work.submit();
    await vi.waitFor(() => {
      expect(fetching).toHaveBeenCalled();
    });
    expect(kept.drafts.get("alice/7")?.etag).toBe('"0"');
    editor.run(assignType([1], null));
    answer(json(revision(1), 201));
    expect(await submitting).toBe(true);
    expect(work.unsaved).toBe(true);
    expect(kept.drafts.get("alice/7")).toMatchObject({ etag: '"1"', edits: 1, prediction: null });
  });

  it("still being written when the work is submitted does not come back", async () => {
    const { editor, work } = begin(false);
    editor.run(deleteCells(new Set([2])));
    answers = [json(revision(1), 201)];
    const drafting = work.draftNow();
    await work.submit();
    await drafting;
    expect(kept.drafts.size).toBe(0);
  });

  it("that cannot be written is said so, and tried again with the next edit", async () => {
    const { editor, work } = begin(false);
    kept.refusal = "The disk is full.";
    editor.run(deleteCells(new Set([2])));
    await work.draftNow();
    expect(work.draftError).toBe("The disk is full.");
    kept.refusal = null;
    editor.run(assignType([1], null));
    await work.draftNow();
    expect(work.draftError).toBeNull();
    expect(kept.drafts.size).toBe(1);
  });
});

it("who may only look changes nothing and submits nothing", async () => {
  const { editor, work } = begin(false, true);
  editor.run(deleteCells(new Set([2])));
  expect(editor.state.doc.geometry.size).toBe(2);
  expect(await work.submit()).toBe(false);
  expect(asked).toEqual([]);
});
