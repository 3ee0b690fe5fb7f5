// @vitest-environment jsdom
/** One image in two tabs of one browser: it is written in one of them, and each knows at once. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { findJournal, findJournals } from "../../src/api/journal";
import { Tabs } from "../../src/api/tabs";
import { assignType, undo } from "../../src/core/commands";
import EditorView from "../../src/ui/editor/EditorView.svelte";
import ElsewhereDialog from "../../src/ui/editor/ElsewhereDialog.svelte";
import RestoreDialog from "../../src/ui/editor/RestoreDialog.svelte";
import { savedWords } from "../../src/ui/editor/saved";
import { toasts } from "../../src/ui/toasts.svelte";
import { json } from "../api/stubs";
import { Channel } from "./channel";
import { escape, stubDialogs } from "./dialogs";
import { revision } from "./opened";
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
let stops: (() => void)[] = [];

beforeEach(async () => {
  await forgetAll();
  stubDialogs();
  Channel.all.clear();
  vi.stubGlobal("BroadcastChannel", Channel);
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  server = new FakeServer();
});
afterEach(async () => {
  for (const stop of stops) stop();
  stops = [];
  vi.useRealTimers();
  await endAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function tab() {
  const visit = await comeBack();
  stops.push(visit.work.sharing.start());
  return visit;
}

/** What is read out with the dialog's title. */
const described = () =>
  document.getElementById(screen.getByRole("dialog").getAttribute("aria-describedby") ?? "")
    ?.textContent;

type Visit = Awaited<ReturnType<typeof tab>>;

function show({ editor, work }: Visit) {
  const props = { go: vi.fn(), reload: vi.fn(), skip: null };
  return { ...props, ...render(EditorView, { editor, work, ...props }) };
}

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

/** One tab with an edit, and another that was opened after it. */
async function two() {
  const first = await tab();
  erase(first.editor, 2);
  await first.work.draftNow();
  return { first, second: await tab() };
}

it("an image with work in another tab is said to be open there, and not offered for discarding", async () => {
  const { first, second } = await two();
  expect([second.work.offered, second.work.sharing.elsewhere?.edits]).toEqual([null, 1]);
  expect([first.editor.readOnly, second.editor.readOnly]).toEqual([false, true]);
  const goOnHere = vi.fn(() => Promise.resolve());
  const held = second.work.sharing.elsewhere;
  if (held === null) throw new Error("nothing is open elsewhere");
  render(ElsewhereDialog, { work: second.work, held, goOnHere });
  const words = screen.getByRole("dialog").textContent;
  expect(words).toMatch(/open in another tab.*1 edit not\s+submitted/);
  expect(screen.queryByText(/Discard/)).toBeNull();
  expect(document.activeElement?.textContent).toBe("Go on here");
  expect(screen.getAllByRole("button").map(({ textContent }) => textContent)).toEqual([
    "Only look",
    "Go on here",
  ]);
  expect(described()).toContain("is open in another tab of this browser");
  await fireEvent.click(screen.getByRole("button", { name: "Only look" }));
  expect([second.work.sharing.elsewhere, second.editor.readOnly]).toEqual([null, true]);
});

it("going on in the second takes the work along; the first is read-only before any edit", async () => {
  const { first, second } = await two();
  expect(await second.work.goOnHere()).toBe(true);
  expect([first.editor.readOnly, second.editor.readOnly]).toEqual([true, false]);
  erase(first.editor, 1);
  expect([labelsOf(first.editor), labelsOf(second.editor)]).toEqual([[1], [1]]);
  expect(savedWords({ ...first.work, browser: first.work.recorder } as never).text).toBe(
    "In another tab",
  );
  second.editor.run(undo);
  expect(labelsOf(second.editor)).toEqual([1, 2]);
});

it("back in the first goes on with what the second did, and asks for nothing", async () => {
  const { first, second } = await two();
  await second.work.goOnHere();
  erase(second.editor, 1);
  await second.work.recorder.record();
  expect(await first.work.goOnHere()).toBe(true);
  expect([first.editor.readOnly, second.editor.readOnly]).toEqual([false, true]);
  expect([labelsOf(first.editor), first.work.edits, first.work.offered]).toEqual([[], 2, null]);
  await first.work.draftNow();
  await eventually(() => {
    expect(server.work?.edits).toBe(2);
  });
});

it("there and back, the time spent is counted once", async () => {
  const { first, second } = await two();
  first.work.lease.addSeconds(100);
  erase(first.editor, 1);
  await second.work.goOnHere();
  expect(second.work.lease.secondsSpent).toBe(100);
  second.work.lease.addSeconds(50);
  second.editor.run(undo);
  await first.work.goOnHere();
  expect(first.work.lease.secondsSpent).toBe(150);
});

it("what the second submitted is opened anew in the first", async () => {
  const { first, second } = await two();
  await second.work.goOnHere();
  server.answers = [json(revision(1), 201)];
  expect(await second.work.submit()).toBe(true);
  expect(await first.work.goOnHere()).toBe(false);
  expect(first.editor.readOnly).toBe(true);
});

it("what the second submitted before it was closed does not come back as new work", async () => {
  const { first, second } = await two();
  await second.work.goOnHere();
  server.answers = [json(revision(1), 201)];
  expect(await second.work.submit()).toBe(true);
  stops.pop()?.();
  expect(await first.work.goOnHere()).toBe(false);
  expect([first.editor.readOnly, await findJournal(KEY)]).toEqual([true, null]);
});

it("while the server cannot say whether the work was handed in, it is gone on with", async () => {
  const { first, second } = await two();
  await second.work.goOnHere();
  stops.pop()?.();
  await forgetAll();
  server.down = true;
  expect(await first.work.goOnHere()).toBe(true);
  expect([first.editor.readOnly, first.work.edits]).toEqual([false, 1]);
});

it("a frozen tab without edits does not replace the journal written meanwhile", async () => {
  const first = await tab();
  const thaw = [...Channel.all];
  Channel.all.clear();
  const second = await tab();
  for (const channel of thaw) Channel.all.add(channel);
  erase(second.editor, 2);
  await second.work.recorder.record();
  erase(first.editor, 1);
  await first.work.recorder.record();
  expect([first.work.locked, second.work.locked]).toEqual(["window", null]);
  const [journal, aside] = await findJournals(KEY);
  expect(journal?.base.writer).toBe(second.work.recorder.writer);
  expect(aside?.mark.edits).toBe(1);
  expect(await first.work.goOnHere()).toBe(true);
  expect(labelsOf(first.editor)).toEqual([1]);
});

/** Its storage cannot be read this once. */
function blocked({ work }: Visit): void {
  const error = new Error("The browser's storage is blocked.");
  vi.spyOn(work.recorder, "find").mockRejectedValueOnce(error);
}

it("where the other tab's journal cannot be read it is not replaced, and it is said", async () => {
  const { first, second } = await two();
  const before = await findJournal(KEY);
  blocked(second);
  await expect(second.work.goOnHere()).rejects.toThrow("blocked");
  expect([second.work.sharing.elsewhere?.edits, second.editor.readOnly]).toEqual([1, true]);
  expect(await findJournal(KEY)).toEqual(before);
  expect(await first.work.goOnHere()).toBe(true);
  expect([first.work.offered, first.editor.readOnly]).toEqual([null, false]);
});

it("the banner says why it cannot be gone on with here", async () => {
  const { second } = await two();
  show(second);
  await fireEvent.click(screen.getByRole("button", { name: "Only look" }));
  blocked(second);
  await fireEvent.click(screen.getByRole("button", { name: "Go on here instead" }));
  await eventually(() => {
    expect(toasts.at(-1)).toMatchObject({ tone: "bad", text: expect.stringContaining("blocked") });
  });
});

it("while it is taken nothing else is asked, and nothing can be changed", async () => {
  const { second } = await two();
  const { work, editor } = second;
  show(second);
  let begun: () => void = () => undefined;
  const holding = new Promise<void>((resolve) => (begun = resolve));
  const restore = work.restore.bind(work);
  const restoring = vi.spyOn(work, "restore").mockImplementation(async (offer) => {
    await holding;
    await restore(offer);
  });
  const dialogs = () => screen.queryAllByRole("dialog").map(({ textContent }) => textContent);
  await fireEvent.click(screen.getByRole("button", { name: "Go on here" }));
  await eventually(() => {
    expect(restoring).toHaveBeenCalledOnce();
  });
  await fireEvent.click(screen.getByRole("button", { name: "Only look" }));
  escape(screen.getByRole("dialog"));
  expect(dialogs()).toEqual([expect.stringContaining("Open in another tab")]);
  expect([work.sharing.elsewhere?.edits, editor.readOnly]).toEqual([1, true]);
  begun();
  await eventually(() => {
    expect([dialogs(), editor.readOnly, labelsOf(editor)]).toEqual([[], false, [1]]);
  });
});

it("what is seen of the other tab's work can be edited before it is written down here", async () => {
  const { second } = await two();
  const { recorder } = second.work;
  let write: () => void = () => undefined;
  const writing = new Promise<void>((resolve) => (write = resolve));
  const adopt = recorder.adopt.bind(recorder);
  const adopting = vi.spyOn(recorder, "adopt").mockImplementation(async (journal, root) => {
    const adopted = adopt(journal, root);
    await writing;
    return adopted;
  });
  const going = second.work.goOnHere();
  await eventually(() => {
    expect(adopting).toHaveBeenCalledOnce();
  });
  expect([second.editor.readOnly, labelsOf(second.editor)]).toEqual([false, [1]]);
  erase(second.editor, 1);
  await second.work.draftNow();
  write();
  await going;
  expect((await findJournal(KEY))?.mark.edits).toBe(2);
});

it("the banner asks for nothing either", async () => {
  const { second } = await two();
  show(second);
  await fireEvent.click(screen.getByRole("button", { name: "Only look" }));
  const seen = vi.spyOn(HTMLDialogElement.prototype, "showModal").mockClear();
  await fireEvent.click(screen.getByRole("button", { name: "Go on here instead" }));
  await eventually(() => {
    expect([second.editor.readOnly, labelsOf(second.editor)]).toEqual([false, [1]]);
  });
  expect(seen).not.toHaveBeenCalled();
});

/** A submit of the first tab is under way; the server then says yes when told to. */
async function midSubmit() {
  const tabs = await two();
  let answer: (response: Response) => void = () => undefined;
  server.answers = [new Promise((resolve) => (answer = resolve))];
  const submitting = tabs.first.work.submit();
  await eventually(() => {
    expect(server.asked).toHaveLength(1);
  });
  const done = (): void => {
    answer(json(revision(1), 201));
  };
  return { ...tabs, submitting, done };
}

it("a submit under way is waited for: what it made a revision is opened anew", async () => {
  const { first, second, submitting, done } = await midSubmit();
  const going = second.work.goOnHere();
  await eventually(() => {
    expect(first.editor.readOnly).toBe(true);
  });
  done();
  expect([await submitting, await going]).toEqual([true, false]);
  expect([await findJournal(KEY), second.editor.readOnly]).toEqual([null, true]);
});

it("what was drawn during a submit is handed over on the revision that came of it", async () => {
  const { first, second, submitting, done } = await midSubmit();
  first.editor.run(assignType([1], "N2a"));
  const going = second.work.goOnHere();
  await eventually(() => {
    expect(first.editor.readOnly).toBe(true);
  });
  done();
  expect([await submitting, await going]).toEqual([true, false]);
  expect(await findJournal(KEY)).toMatchObject({ base: { etag: '"1"' }, mark: { edits: 1 } });
});

it("what a submit of the first asks about is the second's once that has the image", async () => {
  const { first, second } = await two();
  first.work.trouble = { kind: "stale", message: "Saved by bob." };
  await second.work.goOnHere();
  await second.work.draftNow();
  const { drafts } = { drafts: server.draft };
  await first.work.takeTheirs();
  expect([first.work.trouble, server.draft]).toEqual([null, drafts]);
});

it("an image that another tab has submitted since is opened anew", async () => {
  const first = await tab();
  erase(first.editor, 2);
  server.answers = [json(revision(1), 201)];
  expect(await first.work.submit()).toBe(true);
  const second = begin();
  expect(await second.work.lookForDraft()).toBe(false);
});

it("a view that goes on to the next image does not answer for the one it leaves", async () => {
  const { first } = await two();
  first.work.leave();
  expect((await tab()).work.sharing.elsewhere).toBeNull();
});

it("a tab that is at it is waited for as long as it takes, also when it closes after", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const held = { writer: "there", edits: 2, editedAt: 1, revision: 0, kept: true };
  let over: () => void = () => undefined;
  const handOver = () =>
    new Promise<typeof held>((resolve) => {
      over = () => {
        resolve({ ...held, revision: 1 });
      };
    });
  let has = true;
  const stop = new Tabs("key", "there").start({ held: () => (has ? held : null), handOver });
  const taking = new Tabs("key", "here").take();
  await vi.advanceTimersByTimeAsync(1_000);
  has = false;
  await vi.advanceTimersByTimeAsync(20_000);
  over();
  stop();
  await vi.advanceTimersByTimeAsync(100);
  expect(await taking).toMatchObject({ revision: 1 });
});

it("a tab that is gone is not waited for", async () => {
  const { second } = await two();
  for (const stop of stops) stop();
  const since = Date.now();
  await second.work.goOnHere();
  expect(labelsOf(second.editor)).toEqual([1]);
  expect(second.editor.readOnly).toBe(false);
  expect(Date.now() - since).toBeLessThan(2_400);
});

it("a tab without work in it gives the image up unasked", async () => {
  const first = await tab();
  const second = await tab();
  expect([second.work.sharing.elsewhere, second.work.locked]).toEqual([null, null]);
  expect(first.work.locked).toBe("window");
});

it("work of another tab is not called another computer's, and times tell pieces apart", async () => {
  const first = begin();
  erase(first.editor, 2);
  await first.work.draftNow();
  await eventually(() => {
    expect(server.draft).not.toBeNull();
  });
  await forgetAll();
  const later = await comeBack();
  const { unmount } = render(RestoreDialog, { work: later.work });
  expect(screen.getByRole("dialog").textContent).toContain("made in this browser");
  unmount();
  server.draft = await kept("there", new Date(2026, 10, 28, 8, 25, 6).getTime());
  render(RestoreDialog, { work: (await comeBack()).work });
  const words = screen.getByRole("dialog").textContent;
  expect(words).toContain("28 Nov 2026, 08:25:06");
  expect(words).toContain("another browser");
});
