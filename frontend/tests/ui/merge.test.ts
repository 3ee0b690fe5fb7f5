// @vitest-environment jsdom
/** Somebody else saved first: two versions side by side, and the dialogs around that. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { assignType } from "../../src/core/commands";
import { Editor } from "../../src/ui/editor/editor.svelte";
import FlagDialog from "../../src/ui/editor/FlagDialog.svelte";
import { ImageFlags } from "../../src/ui/editor/flags.svelte";
import MergeView from "../../src/ui/editor/MergeView.svelte";
import { neighbourOf } from "../../src/ui/editor/neighbours";
import SkipDialog from "../../src/ui/editor/SkipDialog.svelte";
import { readTheirs, type Theirs } from "../../src/ui/editor/theirs";
import TroubleDialog from "../../src/ui/editor/TroubleDialog.svelte";
import type { Work } from "../../src/ui/editor/work.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { opened, revision } from "./opened";
import { endAll, workOn } from "./visits";

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

let calls: Call[];
let answers: (() => Response)[];
let editor: Editor;
let work: Work;

beforeEach(() => {
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  answers = [];
  calls = stubFetch(() => answers.shift()?.() ?? json(revision(5), 201));
  editor = new Editor(opened(), false);
  work = workOn(editor);
});
afterEach(async () => {
  await endAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const theirs = (over: Partial<Theirs["doc"]> = {}): Theirs =>
  ({
    head: { annotation: { ...revision(4), author: "bob" }, etag: '"4"' },
    doc: { ...editor.opened.doc, ...over },
  }) as unknown as Theirs;

it("whoever takes all of theirs takes their complete regions too", async () => {
  const regions = [{ x0: 0, y0: 0, x1: 2, y1: 1 }];
  render(MergeView, {
    editor,
    work,
    theirs: theirs({ regions }),
    submitted: vi.fn(),
    notYet: vi.fn(),
    close: vi.fn(),
  });
  const choice = screen.getByRole("radiogroup", { name: /^Complete regions/ });
  expect(within(choice).getByRole("radio", { name: "mine the whole image" })).toBeDefined();
  expect(within(choice).getByRole("radio", { name: "theirs 1 region" })).toBeDefined();
  await fireEvent.click(screen.getByRole("button", { name: "Take all theirs" }));
  await fireEvent.click(screen.getByRole("button", { name: "Submit the result" }));
  await waitFor(() => {
    expect(editor.state.doc.regions).toEqual(regions);
  });
});

it("each choice says of which cell it is", () => {
  const changed = theirs({
    meta: editor.opened.doc.meta.with([[1, { type: "N2a", source: "human" }]]),
  });
  render(MergeView, {
    editor,
    work,
    theirs: changed,
    submitted: vi.fn(),
    notYet: vi.fn(),
    close: vi.fn(),
  });
  const choice = screen.getByRole("radiogroup", { name: "1. another type" });
  expect(within(choice).getAllByRole("radio")).toHaveLength(2);
});

it("a merge view that is closed gives the focus back", () => {
  const button = document.body.appendChild(document.createElement("button"));
  button.focus();
  const props = {
    editor,
    work,
    theirs: theirs(),
    submitted: vi.fn(),
    notYet: vi.fn(),
    close: vi.fn(),
  };
  const { unmount } = render(MergeView, props);
  expect(document.activeElement).not.toBe(button);
  unmount();
  expect(document.activeElement).toBe(button);
  button.remove();
});

it("their labels above what the graphics card looks up are renumbered", async () => {
  const high = (1 << 20) + 5;
  const headers = { ETag: '"4"', "X-Shape": "1,5", "X-Dtype": "uint32" };
  const cells = [{ label: high, type: "HEK", type_source: "human" }];
  answers = [
    () => json({ ...revision(4), cells }),
    () => new Response(Uint32Array.of(high, high, 0, 0, 0).buffer, { headers }),
  ];
  const { doc } = await readTheirs(7, editor.state.doc.labels);
  expect([doc.highest, doc.meta.get(1)]).toEqual([1, { type: "HEK", source: "human" }]);
});

it("mine is discarded only when that is confirmed", async () => {
  editor.run(assignType([1], "N2a"));
  work.trouble = { kind: "stale", message: "Saved by bob." };
  const reload = vi.fn();
  render(TroubleDialog, { work, submitAnyway: vi.fn(), reload });
  await fireEvent.click(screen.getByRole("button", { name: "Discard mine" }));
  expect([reload.mock.calls.length, work.unsaved]).toEqual([0, true]);
  await fireEvent.click(screen.getByRole("button", { name: "Discard your edit" }));
  await waitFor(() => {
    expect(reload).toHaveBeenCalled();
  });
});

it("the chosen reason to skip is said to be pressed, and a second try forgets the error", async () => {
  let fail = true;
  let finish: () => void = () => undefined;
  const skip = (): Promise<void> =>
    fail ? Promise.reject(new Error("No network.")) : new Promise((done) => (finish = done));
  render(SkipDialog, { image: "a.tif", skip, close: vi.fn() });
  const reason = screen.getByRole("button", { name: "Out of focus" });
  await fireEvent.click(reason);
  expect(reason.getAttribute("aria-pressed")).toBe("true");
  await fireEvent.click(screen.getByRole("button", { name: "Skip and go on" }));
  expect((await screen.findByRole("alert")).textContent).toBe("No network.");
  fail = false;
  await fireEvent.click(screen.getByRole("button", { name: "Skip and go on" }));
  expect(screen.queryByRole("alert")).toBeNull();
  finish();
});

it("a flag is raised with its note", async () => {
  answers = [() => json({}, 201)];
  const close = vi.fn();
  render(FlagDialog, { flags: new ImageFlags({ id: 7, name: "a.tif" }, 1), manages: false, close });
  await fireEvent.input(screen.getByRole("textbox"), { target: { value: "Blurred?" } });
  await fireEvent.click(screen.getByRole("button", { name: "Flag" }));
  await waitFor(() => {
    expect(close).toHaveBeenCalled();
  });
});

it("the next image is one question, however many there are", async () => {
  answers = [() => json({ previous: 6, next: null }), () => json({ previous: 6, next: null })];
  expect(await neighbourOf(editor.opened, -1)).toBe(6);
  expect(await neighbourOf(editor.opened, 1)).toBeNull();
  expect(calls).toHaveLength(2);
});
