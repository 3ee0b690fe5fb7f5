// @vitest-environment jsdom
/** Nothing is lost: every edit in the browser's storage, the work on the server, and back. */
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropJournal, findJournal, writeJournal } from "../../src/api/journal";
import { assignType, redo, undo } from "../../src/core/commands";
import { openDocument, sameDocument } from "../../src/core/document";
import { GESTURES_KEPT } from "../../src/core/history";
import { MOST_ENTRIES } from "../../src/core/journal";
import { RegionsStep } from "../../src/core/steps";
import { originOf } from "../../src/ui/editor/restoring";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { Work } from "../../src/ui/editor/work.svelte";
import { json } from "../api/stubs";
import { item, opened, revision } from "./opened";
import { FakeServer } from "./server";
import { begin, comeBack, erase, eventually, forgetAll, KEY, labelsOf, endAll } from "./visits";

let server: FakeServer;

beforeEach(async () => {
  await forgetAll();
  server = new FakeServer();
  // Alone in its browser.
  vi.stubGlobal("BroadcastChannel", undefined);
});
afterEach(async () => {
  vi.useRealTimers();
  await endAll();
  vi.unstubAllGlobals();
});

describe("in the browser", () => {
  it("every gesture is on disk at once, and comes back with its undo and redo", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.recorder.record();
    editor.run(assignType([1], "N2a"));
    editor.run(undo);
    await work.recorder.record();
    const kept = await findJournal(KEY);
    expect(kept?.entries.map(({ kind }) => kind)).toEqual(["do", "do", "undo"]);
    server.down = true;
    const later = await comeBack();
    expect(later.work.offered).toMatchObject({ where: "browser" });
    await later.work.restore();
    expect(sameDocument(later.editor.state.doc, editor.state.doc)).toBe(true);
    later.editor.run(redo);
    expect(later.editor.state.doc.meta.get(1)?.type).toBe("N2a");
    later.editor.run(undo);
    later.editor.run(undo);
    expect(labelsOf(later.editor)).toEqual([1, 2]);
    expect(later.work.unsaved).toBe(false);
  });

  it("a journal gone on with goes on: the next edit is one more entry", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.recorder.record();
    const later = await comeBack();
    await later.work.restore();
    erase(later.editor, 1);
    await later.work.recorder.record();
    const third = await comeBack();
    await third.work.restore();
    expect(labelsOf(third.editor)).toEqual([]);
    third.editor.run(undo);
    third.editor.run(undo);
    expect(labelsOf(third.editor)).toEqual([1, 2]);
  });

  it("complete regions come back too", async () => {
    const { editor, work } = begin();
    const regions = [{ x0: 0, y0: 0, x1: 3, y1: 1 }];
    editor.dispatch({ kind: "edit", name: "Complete", steps: [new RegionsStep(null, regions)] });
    await work.draftNow();
    const later = await comeBack();
    await later.work.restore();
    expect(later.editor.state.doc.regions).toEqual(regions);
  });

  it("undoing everything forgets the journal", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.draftNow();
    editor.run(undo);
    await work.draftNow();
    expect(await findJournal(KEY)).toBeNull();
  });

  it("a long session is written anew from a later beginning, with its history", async () => {
    const { editor, work } = begin();
    for (let edit = 0; edit < MOST_ENTRIES + 20; edit++) {
      editor.run(assignType([1], edit % 2 === 0 ? "N2a" : "U2OS"));
      await work.recorder.record();
    }
    expect((await findJournal(KEY))?.entries.length).toBeLessThan(GESTURES_KEPT + 30);
    const later = await comeBack();
    await later.work.restore();
    expect(later.editor.state.doc.meta.get(1)?.type).toBe("U2OS");
    expect(later.editor.state.history.done).toHaveLength(GESTURES_KEPT);
  });

  it("more edits than undo keeps are all there after two restores", async () => {
    const flat = Uint32Array.from({ length: 700 }, (_, at) => at + 1);
    const image = opened({ doc: openDocument(flat, { width: 700, height: 1 }, []) });
    const { editor, work } = begin(image);
    for (const label of flat) {
      erase(editor, label);
      await work.recorder.record();
    }
    const second = await comeBack(image);
    await second.work.restore();
    expect(labelsOf(second.editor)).toEqual([]);
    await second.work.recorder.rebase();
    const third = await comeBack(image);
    await third.work.restore();
    expect(labelsOf(third.editor)).toEqual([]);
    expect(third.editor.state.history.done).toHaveLength(GESTURES_KEPT);
  });

  it("two windows on one image do not mix their work: the first becomes read-only", async () => {
    const first = begin();
    erase(first.editor, 2);
    await first.work.recorder.record();
    const second = await comeBack();
    await second.work.restore();
    erase(first.editor, 1);
    await first.work.draftNow();
    expect(first.work.locked).toBe("window");
    expect(first.editor.readOnly).toBe(true);
    expect((await findJournal(KEY))?.entries).toHaveLength(1);
    await first.work.goOnHere();
    expect(first.editor.readOnly).toBe(false);
    expect(labelsOf(first.editor)).toEqual([1]);
    // What it had done meanwhile is in none of both, and kept.
    const { list } = (await comeBack()).work.offers;
    expect(list.map(({ where }) => where)).toEqual(["browser", "aside"]);
  });
});

describe("on the server", () => {
  const clock = { toFake: ["setTimeout", "clearTimeout", "Date"] as const };

  it("the draft is saved within five seconds, once for several edits", async () => {
    vi.useFakeTimers({ toFake: [...clock.toFake] });
    const { editor, work } = begin();
    erase(editor, 2);
    work.keep();
    await vi.advanceTimersByTimeAsync(1_000);
    editor.run(assignType([1], "N2a"));
    work.keep();
    await vi.advanceTimersByTimeAsync(1_400);
    expect(server.puts).toBe(0);
    await vi.advanceTimersByTimeAsync(200);
    await eventually(() => {
      expect(server.draft?.document).toMatchObject({ base: 0, prediction: 3, work: { edits: 2 } });
    });
    expect(server.puts).toBe(1);
  });

  it("who never pauses is saved all the same", async () => {
    vi.useFakeTimers({ toFake: [...clock.toFake] });
    const { editor, work } = begin();
    for (let second = 0; second < 5; second++) {
      editor.run(assignType([1], second % 2 === 0 ? "N2a" : "HEK"));
      work.keep();
      await vi.advanceTimersByTimeAsync(1_000);
    }
    await eventually(() => {
      expect(server.puts).toBe(1);
    });
  });

  it("gone and back: says since when, tries by itself, and has it in the end", async () => {
    vi.useFakeTimers({ toFake: [...clock.toFake] });
    const { editor, work } = begin();
    server.down = true;
    erase(editor, 2);
    await work.draftNow();
    await eventually(() => {
      expect(work.server.unreachableSince).not.toBeNull();
    });
    const since = work.server.unreachableSince;
    editor.run(assignType([1], "N2a"));
    work.keep();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(work.server.unreachableSince).toBe(since);
    server.down = false;
    await vi.advanceTimersByTimeAsync(61_000);
    await eventually(() => {
      expect(work.server.savedAt).not.toBeNull();
    });
    expect(work.server.unreachableSince).toBeNull();
    expect(server.work).toMatchObject({ cells: [{ label: 1, type: "N2a" }], edits: 2 });
  });

  it("an expired sign-in keeps the work and is not asked again until somebody signs in", async () => {
    vi.useFakeTimers({ toFake: [...clock.toFake] });
    const { editor, work } = await comeBack();
    server.signedOut = true;
    erase(editor, 2);
    await work.draftNow();
    await eventually(() => {
      expect(work.server.signedOut).toBe(true);
    });
    expect((await findJournal(KEY))?.entries).toHaveLength(1);
    editor.run(assignType([1], "N2a"));
    work.keep();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(server.puts).toBe(1);
    server.signedOut = false;
    work.server.retry();
    await eventually(() => {
      expect(server.work?.edits).toBe(2);
    });
    expect(work.server.signedOut).toBe(false);
  });

  it("comes back in another browser, and is the next journal there", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    work.lease.addSeconds(30);
    await work.draftNow();
    await eventually(() => {
      expect(server.draft).not.toBeNull();
    });
    await dropJournal(KEY);
    const later = await comeBack();
    expect(later.work.offered).toMatchObject({ where: "server", draft: { work: { edits: 1 } } });
    await later.work.restore();
    expect(labelsOf(later.editor)).toEqual([1]);
    expect(later.editor.state.doc.meta.get(1)).toEqual({ type: "HEK", source: "model" });
    expect([later.work.edits, later.work.lease.secondsSpent]).toEqual([1, 30]);
    await later.work.draftNow();
    expect(await findJournal(KEY)).not.toBeNull();
  });

  it("undoing everything forgets the draft", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.server.now();
    expect(server.draft).not.toBeNull();
    editor.run(undo);
    await work.server.now();
    expect(server.draft).toBeNull();
  });
});

it("what the queue said with the image, that there is no draft, is not asked again", async () => {
  const { editor, work } = begin();
  erase(editor, 2);
  await work.server.now();
  const asked = async (draft: boolean | undefined) => {
    const later = new Work(new Editor(opened(), false), "alice", { ...item, draft } as typeof item);
    await dropJournal(KEY);
    await later.lookForDraft();
    return later.offered?.where;
  };
  expect([await asked(true), await asked(undefined)]).toEqual(["server", "server"]);
  expect(await asked(false)).toBeUndefined();
});

describe("of browser and server", () => {
  /** Work that both have, the server's then made `later` by so many milliseconds. */
  async function both(later: number): Promise<Work> {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.draftNow();
    await eventually(() => {
      expect(server.draft).not.toBeNull();
    });
    const { document } = server.draft ?? { document: { saved_at: "" } };
    document.saved_at = new Date(Date.parse(document.saved_at) + later).toISOString();
    return (await comeBack()).work;
  }

  it("the newer is offered, the browser's where they are the same", async () => {
    expect((await both(0)).offered?.where).toBe("browser");
  });

  it("the server's is offered where it is newer, and says when", async () => {
    const { offered } = await both(5_000);
    expect(offered?.where).toBe("server");
    const saved = server.draft?.document.saved_at ?? "";
    expect(offered && originOf(offered).savedAt).toBe(Date.parse(saved));
  });

  it("the server's is offered where the browser's turns out to be damaged", async () => {
    const work = await both(0);
    const journal = await findJournal(KEY);
    if (journal === null) throw new Error("no journal");
    const labels = { dtype: "uint16", bytes: new ArrayBuffer(3) } as const;
    await writeJournal({ ...journal, base: { ...journal.base, labels } });
    await work.lookForDraft();
    expect(work.offered?.where).toBe("browser");
    await expect(work.restore()).rejects.toThrow();
    expect(work.offered).toMatchObject({ where: "server" });
    await work.restore();
    expect([work.offered, work.edits]).toEqual([null, 1]);
  });

  it("discarding forgets both", async () => {
    const work = await both(0);
    await work.discardOffered();
    expect([await findJournal(KEY), server.draft, work.offered]).toEqual([null, null, null]);
  });

  it("nothing is written before it was decided on", async () => {
    const work = await both(0);
    work.keep();
    await work.draftNow();
    expect(work.offered).not.toBeNull();
    expect((await findJournal(KEY))?.entries).toHaveLength(1);
  });
});

describe("submitting", () => {
  it("keeps what was drawn meanwhile, on the revision that came of it, and undo across it", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.draftNow();
    let answer: (response: Response) => void = () => undefined;
    server.answers = [new Promise((resolve) => (answer = resolve))];
    const submitting = work.submit();
    await eventually(() => {
      expect(server.asked).toHaveLength(1);
    });
    editor.run(assignType([1], null));
    answer(json(revision(1), 201));
    expect(await submitting).toBe(true);
    expect(work.unsaved).toBe(true);
    const kept = await findJournal(KEY);
    expect(kept).toMatchObject({ base: { etag: '"1"', prediction: null }, mark: { edits: 1 } });
    await eventually(() => {
      expect(server.draft?.document).toMatchObject({ base: 1, prediction: null });
    });
    const later = await comeBack();
    await later.work.restore();
    later.editor.run(undo);
    later.editor.run(undo);
    expect(labelsOf(later.editor)).toEqual([1, 2]);
  });

  it("leaves nothing behind, also of a draft that was on its way", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    void work.draftNow();
    // One that was not sent yet would be left out.
    await eventually(() => {
      expect(server.puts).toBe(1);
    });
    server.answers = [json(revision(1), 201)];
    await work.submit();
    await work.server.now();
    await work.recorder.record();
    expect([await findJournal(KEY), server.draft]).toEqual([null, null]);
    expect(server.puts).toBe(1);
  });
});
