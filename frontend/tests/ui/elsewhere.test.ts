// @vitest-environment jsdom
/** Work of one person from two places: neither takes the other's place unseen. */
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { findJournal, writeJournal } from "../../src/api/journal";
import { assignType, undo } from "../../src/core/commands";
import { originOf } from "../../src/ui/editor/restoring";
import type { Work } from "../../src/ui/editor/work.svelte";
import { json } from "../api/stubs";
import { opened, revision } from "./opened";
import { FakeServer } from "./server";
import {
  begin,
  comeBack,
  erase,
  eventually,
  forgetAll,
  kept,
  KEY,
  labelsOf,
  endAll,
} from "./visits";

let server: FakeServer;

beforeEach(async () => {
  await forgetAll();
  server = new FakeServer();
});
afterEach(async () => {
  vi.useRealTimers();
  await endAll();
  vi.unstubAllGlobals();
});

/** The draft is another computer's by now. */
function elsewhere(at: number): void {
  if (server.draft === null) throw new Error("no draft");
  server.draft.document.saved_at = new Date(at).toISOString();
  server.draft.document.work.writer = "there";
}

describe("in the browser", () => {
  it("opens and keeps work where crypto.randomUUID is missing, as over plain http", async () => {
    const { crypto } = globalThis;
    const getRandomValues = crypto.getRandomValues.bind(crypto);
    vi.stubGlobal("crypto", { getRandomValues });
    const { editor, work } = begin();
    erase(editor, 2);
    await work.recorder.record();
    const journal = await findJournal(KEY);
    expect(journal?.base.writer).toMatch(/^[0-9a-f]{32}$/);
    expect(begin().work.recorder.writer).not.toBe(journal?.base.writer);
  });

  it("a window that lost the journal does not delete the new owner's", async () => {
    const first = begin();
    erase(first.editor, 2);
    await first.work.recorder.record();
    const second = await comeBack();
    await second.work.restore();
    first.editor.run(undo);
    await first.work.recorder.record();
    expect((await findJournal(KEY))?.base.writer).toBe(second.work.recorder.writer);
  });
});

describe("on the server", () => {
  it("work from elsewhere is neither replaced nor called saved, and can be chosen", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.draftNow();
    await eventually(() => {
      expect(work.server.savedAt).not.toBeNull();
    });
    elsewhere(Date.now() + 60_000);
    editor.run(assignType([1], "N2a"));
    await work.draftNow();
    await eventually(() => {
      expect(work.server.error).toContain("from elsewhere");
    });
    expect(server.draft?.document.work.writer).toBe("there");
    const puts = server.puts;
    await work.server.now();
    expect(server.puts).toBe(puts);
    await work.compareDrafts();
    expect(work.offers.list.map(({ where }) => where)).toEqual(["server", "browser"]);
    await work.restore(work.offers.list[1]);
    expect(labelsOf(editor)).toEqual([1]);
    expect(editor.state.doc.meta.get(1)?.type).toBe("N2a");
    await work.server.now();
    expect(server.draft?.document.work.writer).toBe(work.recorder.writer);
    const later = await comeBack();
    expect(later.work.offers.list.map(({ where }) => where)).toEqual(["browser", "aside"]);
  });

  it("a draft that could not be read is never replaced unseen", async () => {
    server.draft = await kept("there", Date.now() - 60_000);
    server.unavailable = true;
    const { editor, work } = await comeBack();
    expect(work.offered).toBeNull();
    server.unavailable = false;
    erase(editor, 2);
    await work.draftNow();
    await work.server.now();
    expect([server.puts, server.draft.document.work.writer]).toEqual([0, "there"]);
    expect(work.server.other).not.toBeNull();
    server.answers = [json(revision(1), 201)];
    expect(await work.submit()).toBe(true);
    const later = await comeBack(
      opened({ head: { annotation: revision(1), etag: '"1"' } } as never),
    );
    expect(later.work.offers.list.map(({ where }) => where)).toEqual(["aside"]);
  });

  it("a save whose answer was lost does not stand in the way of the next", async () => {
    const { editor, work } = await comeBack();
    const answering = globalThis.fetch;
    erase(editor, 2);
    vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
      const answer = await answering(path, init);
      if (init.method === "PUT") throw new TypeError("Failed to fetch");
      return answer;
    });
    await work.server.now();
    expect(work.server.unreachableSince).not.toBeNull();
    vi.stubGlobal("fetch", answering);
    editor.run(assignType([1], "N2a"));
    await work.server.now();
    expect([server.puts, work.server.error, work.server.other]).toEqual([2, null, null]);
    expect(server.work?.cells).toMatchObject([{ label: 1, type: "N2a" }]);
  });

  it("what is done alone waits for saves that were asked for, and later ones wait for it", async () => {
    const { work } = begin();
    const order: string[] = [];
    const alone = (name: string): Promise<void> =>
      work.server.alone(async () => {
        order.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        order.push(`${name} ends`);
      });
    await Promise.all([alone("one"), alone("two")]);
    expect(order).toEqual(["one begins", "one ends", "two begins", "two ends"]);
  });

  it("a submit does not wait for a save that was not sent yet: it takes its work along", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    // The hand never rests.
    vi.stubGlobal("requestIdleCallback", () => 1);
    vi.stubGlobal("cancelIdleCallback", () => undefined);
    const saving = work.server.now();
    server.answers = [json(revision(1), 201)];
    expect(await work.submit()).toBe(true);
    await saving;
    expect(server.puts).toBe(0);
  });
});

describe("of browser and server", () => {
  /** Two edits here, of which the server knows nothing, and one made elsewhere since. */
  async function apart() {
    const first = begin();
    server.down = true;
    erase(first.editor, 2);
    first.editor.run(assignType([1], "N2a"));
    await first.work.draftNow();
    server.down = false;
    server.draft = await kept("there", Date.now() + 60_000);
    return comeBack();
  }
  const places = (work: Work): string[] => work.offers.list.map(({ where }) => where);

  it("different work of two computers is offered both; neither choice costs the other", async () => {
    for (const chosen of [0, 1]) {
      const { editor, work } = await apart();
      expect(places(work)).toEqual(["server", "browser"]);
      expect(work.offers.list.map((offer) => originOf(offer).edits)).toEqual([4, 2]);
      await work.restore(work.offers.list[chosen]);
      expect(labelsOf(editor)).toEqual(chosen === 0 ? [2] : [1]);
      editor.run(assignType(labelsOf(editor), "U2OS"));
      await work.draftNow();
      await work.server.now();
      expect(server.draft?.document.work.writer).toBe(work.recorder.writer);
      const later = await comeBack();
      expect(places(later.work)).toEqual(expect.arrayContaining(["browser", "aside"]));
      const aside = later.work.offers.list.find(({ where }) => where === "aside") ?? null;
      await later.work.restore(aside);
      expect(labelsOf(later.editor)).toEqual(chosen === 0 ? [1] : [2]);
      await forgetAll();
      server.draft = null;
    }
  });

  it("discarding one of them leaves the other", async () => {
    const { editor, work } = await apart();
    await work.discardOffered();
    expect([server.draft, places(work)]).toEqual([null, ["browser"]]);
    await work.restore();
    expect(labelsOf(editor)).toEqual([1]);
  });

  it("work that went on elsewhere from what this browser has is offered alone", async () => {
    const { editor, work } = begin();
    erase(editor, 2);
    await work.draftNow();
    await eventually(() => {
      expect(server.draft).not.toBeNull();
    });
    const journal = await findJournal(KEY);
    await forgetAll();
    const other = await comeBack();
    await other.work.restore();
    erase(other.editor, 1);
    await other.work.draftNow();
    await other.work.server.now();
    await forgetAll();
    if (journal) await writeJournal(journal);
    expect(places((await comeBack()).work)).toEqual(["server"]);
  });
});
