// @vitest-environment jsdom
/** What becomes of the work when it is submitted; the server's answers are written out here. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { QueueItem } from "../../src/api/types";
import { deleteCells, undo } from "../../src/core/commands";
import { Editor } from "../../src/ui/editor/editor.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import { Work } from "../../src/ui/editor/work.svelte";
import { picture } from "../core/drawing";

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

const revision = (number: number) => ({ revision: number, cells: [], complete_regions: null });
const item = { id: 12, seconds_left: 600, reasons: [] } as unknown as QueueItem;

function opened(): Opened {
  const doc = picture(["11.22"], [[1, { type: "HEK", source: "model" }]]);
  return {
    image: { id: 7, name: "mixed_b1_1.tif", culture: "mixed", pixel_size_um: null },
    dataset: { id: 1, types: [{ name: "HEK", color: "#ff0000" }], role: "annotator" },
    raster: { width: 5, height: 1, channels: [new Uint16Array(5)] },
    roles: ["nucleus"],
    doc,
    evidence: new Map(),
    head: { annotation: revision(0), etag: '"0"' },
    prediction: { id: 3, cells: [] },
  } as unknown as Opened;
}

function begin(leased: boolean, readOnly = false): { editor: Editor; work: Work } {
  const editor = new Editor(opened(), readOnly);
  return { editor, work: new Work(editor, "alice", leased ? item : null) };
}

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

it("work that was undone to where it began is not unsaved", () => {
  const { editor, work } = begin(false);
  editor.run(deleteCells(new Set([2])));
  editor.run(undo);
  expect(work.unsaved).toBe(false);
});

it("who may only look changes nothing and submits nothing", async () => {
  const { editor, work } = begin(false, true);
  editor.run(deleteCells(new Set([2])));
  expect(editor.state.doc.geometry.size).toBe(2);
  expect(await work.submit()).toBe(false);
  expect(asked).toEqual([]);
});
