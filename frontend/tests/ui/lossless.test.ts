// @vitest-environment jsdom
/** What the pages say and offer when work is in danger. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropJournal, findJournal, journalKey } from "../../src/api/journal";
import { Tabs } from "../../src/api/tabs";
import { newWriter } from "../../src/api/writers";
import { deleteCells } from "../../src/core/commands";
import { cellsOf } from "../../src/core/document";
import { relabelCells } from "../../src/core/paint";
import UnsubmittedPanel from "../../src/ui/components/UnsubmittedPanel.svelte";
import { Editor } from "../../src/ui/editor/editor.svelte";
import EditorView from "../../src/ui/editor/EditorView.svelte";
import { session } from "../../src/ui/session.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { opened, revision } from "./opened";
import { dataset } from "./rows";
import { endAll, workOn } from "./visits";

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

let calls: Call[] = [];
let answer: (call: Call) => Response;
const alice = { id: 1, username: "alice", is_admin: false };

beforeEach(async () => {
  await dropJournal(journalKey("alice", 7));
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  session.me = alice as typeof session.me;
  session.expired = false;
  answer = () => json({ message: "You have no draft." }, 404);
  calls = stubFetch((call) => answer(call));
});
afterEach(async () => {
  await endAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function show(leased = true) {
  const editor = new Editor(opened(), false);
  const work = workOn(editor, leased);
  const props = { go: vi.fn(), reload: vi.fn(), skip: leased ? vi.fn() : null };
  return { editor, work, ...props, ...render(EditorView, { editor, work, ...props }) };
}
const press = (name: string | RegExp): Promise<boolean> =>
  fireEvent.click(screen.getByRole("button", { name }));

describe("an expired sign-in", () => {
  const signedOut = (): Response => json({ message: "Sign in.", code: "not_authenticated" }, 403);

  it("is renewed in place, by the same person only, and the draft is saved", async () => {
    const saved = vi.fn();
    answer = signedOut;
    const { editor, work } = show();
    editor.run(deleteCells(new Set([2])));
    await work.draftNow();
    const dialog = await screen.findByRole("dialog");
    expect(dialog.textContent).toContain("alice");
    answer = ({ method }) =>
      method === "POST" ? json({ ...alice, username: "bob" }) : signedOut();
    await fireEvent.input(within(dialog).getByLabelText("Password"), { target: { value: "x" } });
    await press("Sign in and go on");
    expect((await within(dialog).findByRole("alert")).textContent).toContain("belongs to alice");
    answer = ({ method }) => {
      if (method === "POST") return json(alice);
      if (method === "GET") return json({ message: "You have no draft." }, 404);
      saved();
      return json({ image: 7, base: 0, prediction: 3, saved_at: new Date(0), work: {} });
    };
    await press("Sign in and go on");
    await waitFor(() => {
      expect(saved).toHaveBeenCalled();
    });
    expect([screen.queryByRole("dialog"), session.expired]).toEqual([null, false]);
    expect(editor.state.doc.geometry.size).toBe(1);
  });

  it("can wait: editing goes on, and leaving the editor leads to the sign-in", async () => {
    answer = signedOut;
    const { editor, work, unmount } = show();
    editor.run(deleteCells(new Set([2])));
    await work.draftNow();
    await screen.findByRole("dialog");
    await press("Later");
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(editor.run(deleteCells(new Set([1])))).toBe(true);
    await press("Sign in");
    expect(screen.getByRole("dialog")).toBeDefined();
    expect(session.me).not.toBeNull();
    unmount();
    expect(session.me).toBeNull();
  });
});

describe("without the lease", () => {
  it("the editor only shows, says who has the image, and offers ways on", async () => {
    const { editor, work } = show();
    editor.run(deleteCells(new Set([2])));
    work.lease.lose("mixed_b1_1.tif is in the hands of bob.");
    await screen.findByText(/in the hands of bob/);
    expect(editor.run(deleteCells(new Set([1])))).toBe(true);
    expect(editor.state.doc.geometry.size).toBe(1);
    await press("Go on without it");
    expect(editor.readOnly).toBe(false);
    expect(screen.queryByText(/in the hands of bob/)).toBeNull();
  });

  it("a stroke that was under way ends as far as it came", async () => {
    const { editor, work } = show();
    const steps = relabelCells(editor.state.doc, [2], 0);
    editor.dispatch({ kind: "edit", name: "Stroke", steps, open: true });
    work.lease.lose("Gone.");
    editor.dispatch({ kind: "end" });
    expect(editor.state.history.open).toBeNull();
    expect([editor.settled.doc.geometry.size, work.unsaved]).toEqual([1, true]);
    // Written later, the next test's window would find another one's journal.
    await work.draftNow();
  });
});

it("somebody's newer revision is compared cell by cell, and what is chosen is submitted", async () => {
  const headers = { ETag: '"4"', "X-Shape": "1,5", "X-Dtype": "uint16" };
  let stale = true;
  answer = ({ method, address }) => {
    if (address.endsWith("/annotation/labels/")) {
      return new Response(Uint16Array.of(1, 1, 6, 0, 0).buffer, { headers });
    }
    if (address.endsWith("/annotation/") && method === "GET") {
      return json({ ...revision(4), author: "bob" });
    }
    if (method === "POST" || (method === "PUT" && address.endsWith("/annotation/"))) {
      if (stale) return json({ message: "Saved by bob.", code: "stale_revision" }, 412);
      return json(revision(5), 201);
    }
    return json({ message: "You have no draft." }, 404);
  };
  const { editor, work } = show(false);
  editor.run(deleteCells(new Set([1])));
  await press("Submit");
  await press("Submit all the same");
  await screen.findByText(/Saved by bob/);
  await press("Compare with theirs");
  await screen.findByText("3 cells differ", { exact: false });
  await fireEvent.click(screen.getByRole("button", { name: "Take all theirs" }));
  const [mine] = screen.getAllByLabelText(/^mine/);
  if (mine) await fireEvent.click(mine);
  stale = false;
  await press("Submit the result");
  await waitFor(() => {
    expect(work.revision).toBe(5);
  });
  // Of the three, the first (their cell 1, which was deleted here) stayed deleted.
  expect([...cellsOf(editor.state.doc)].map(({ box }) => box.x0)).toEqual([2]);
});

describe("the data set's page", () => {
  const rows = [{ image: 7, name: "mixed_b1_1.tif", base: 1, saved_at: "2026-11-01T10:00:00Z" }];

  it("lists unsubmitted work, and discards it here and on the server", async () => {
    const { editor, work, unmount } = show();
    editor.run(deleteCells(new Set([2])));
    await work.recorder.record();
    unmount();
    answer = ({ method, address }) => {
      if (method === "DELETE") rows.length = 0;
      return address.endsWith("/drafts/") ? json({ drafts: rows }) : json(null);
    };
    render(UnsubmittedPanel, { dataset: dataset() });
    const link = await screen.findByRole("link", { name: "mixed_b1_1.tif" });
    expect(link.getAttribute("href")).toBe("/images/7");
    await press("Discard the work on mixed_b1_1.tif");
    await press("Discard");
    await waitFor(() => {
      expect(screen.queryByText("Your unsubmitted work")).toBeNull();
    });
    expect(calls.some(({ method }) => method === "DELETE")).toBe(true);
    expect(await findJournal(journalKey("alice", 7))).toBeNull();
  });

  it("is not discarded under the hands of another tab", async () => {
    const row = { image: 7, name: "mixed_b1_1.tif", saved_at: new Date().toISOString() };
    answer = () => json({ drafts: [row] });
    const writer = newWriter();
    const held = { writer, edits: 3, editedAt: 0, revision: 0, kept: true };
    const stop = new Tabs(journalKey("alice", 7), writer).start({
      held: () => held,
      handOver: () => Promise.resolve(held),
    });
    render(UnsubmittedPanel, { dataset: dataset() });
    await screen.findByRole("link", { name: "mixed_b1_1.tif" });
    await press("Discard the work on mixed_b1_1.tif");
    await press("Discard");
    expect((await screen.findByRole("alert")).textContent).toContain("open in another tab");
    expect(calls.some(({ method }) => method === "DELETE")).toBe(false);
    stop();
  });

  it("says nothing where there is none", async () => {
    const said = json({ drafts: [] });
    const read = vi.spyOn(said, "json");
    answer = () => said;
    render(UnsubmittedPanel, { dataset: dataset() });
    await waitFor(() => {
      expect(read).toHaveBeenCalled();
    });
    // The answer is on the page by now, and not only on its way.
    await read.mock.results[0]?.value;
    await new Promise((resolve) => setTimeout(resolve));
    await tick();
    expect(screen.queryByText("Your unsubmitted work")).toBeNull();
  });
});
