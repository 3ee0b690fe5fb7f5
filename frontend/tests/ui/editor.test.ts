// @vitest-environment jsdom
/** The editor's dialogs and what Enter does; jsdom has no graphics card, so nothing is painted. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropJournal, journalKey } from "../../src/api/journal";
import { deleteCells } from "../../src/core/commands";
import { Editor } from "../../src/ui/editor/editor.svelte";
import EditorView from "../../src/ui/editor/EditorView.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import type { Offer } from "../../src/ui/editor/restoring";
import { navigation } from "../../src/ui/navigation.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { escape, stubDialogs } from "./dialogs";
import { opened, revision } from "./opened";
import { endAll, workOn } from "./visits";

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

let calls: Call[] = [];

beforeEach(async () => {
  await dropJournal(journalKey("alice", 7));
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.stubGlobal("scrollTo", () => undefined);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  calls = stubFetch(() => json({ annotation: revision(1), ...revision(1) }));
  toasts.length = 0;
});
afterEach(async () => {
  await endAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function show(image: Opened = opened(), leased = true) {
  const editor = new Editor(image, false);
  const work = workOn(editor, leased);
  const props = { go: vi.fn(), reload: vi.fn(), skip: leased ? vi.fn() : null };
  return { editor, work, ...props, ...render(EditorView, { editor, work, ...props }) };
}

const press = (key: string, held: KeyboardEventInit = {}): Promise<boolean> =>
  fireEvent.keyDown(document.body, { key, ...held });
const said = (): string[] => toasts.map(({ text }) => text);

describe("skipping", () => {
  it("says how many edits are lost by it", async () => {
    const { editor } = show();
    editor.run(deleteCells(new Set([1])));
    editor.run(deleteCells(new Set([2])));
    await fireEvent.click(screen.getByRole("button", { name: "Skip" }));
    const dialog = screen.getByRole("dialog");
    expect(within(dialog).getByRole("alert").textContent).toContain("Your 2 edits");
    expect(within(dialog).getByRole("button", { name: "Discard edits and skip" })).toBeDefined();
  });

  it("does not freeze the editor when the lease goes while it is asked about", async () => {
    const { editor, rerender } = show();
    await fireEvent.click(screen.getByRole("button", { name: "Skip" }));
    await press("e");
    expect(editor.tool).toBe("brush");
    await rerender({ skip: null });
    expect(screen.queryByRole("dialog")).toBeNull();
    await press("e");
    expect(editor.tool).toBe("eraser");
  });
});

describe("Shift+Enter", () => {
  it("on an unchanged revision makes no second one, and says so", async () => {
    show(
      opened({ head: { annotation: revision(4), etag: '"4"' } as unknown as Opened["head"] }),
      false,
    );
    await press("Enter", { shiftKey: true });
    expect(said()).toEqual(["Nothing changed since revision 4."]);
    expect(calls).toEqual([]);
  });

  it("on an image without cells asks whether that is meant", async () => {
    show(opened({ prediction: null }, ["....."]), false);
    await press("Enter", { shiftKey: true });
    expect(calls).toEqual([]);
    const dialog = screen.getByRole("dialog");
    await fireEvent.click(within(dialog).getByRole("button", { name: "Submit without a cell" }));
    await waitFor(() => {
      expect(said()).toEqual(["Submitted mixed_b1_1.tif"]);
    });
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("with Ctrl stays at the image when it changed while it was submitted", async () => {
    const { editor, go } = show();
    let answer: (response: Response) => void = () => undefined;
    const nothing = (): Promise<Response> => Promise.resolve(json({ message: "Nothing." }, 404));
    const fetching = vi.fn(nothing);
    fetching.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
    vi.stubGlobal("fetch", fetching);
    await press("Enter", { ctrlKey: true });
    await fireEvent.click(await screen.findByRole("button", { name: "Submit all the same" }));
    await waitFor(() => {
      expect(fetching).toHaveBeenCalled();
    });
    editor.run(deleteCells(new Set([2])));
    answer(json({ annotation: revision(1) }, 201));
    await waitFor(() => {
      expect(said().join()).toContain("without what you changed meanwhile");
    });
    expect(go).not.toHaveBeenCalled();
  });
});

it("work that the browser cannot keep is not left without a question", () => {
  const { editor, work, unmount } = show();
  navigation.go("/datasets/1", { replace: true });
  editor.run(deleteCells(new Set([2])));
  work.recorder.error = "The disk is full.";
  navigation.go("/datasets/1/models");
  expect(navigation.asking?.reason).toContain("The disk is full.");
  navigation.asking?.answer(false);
  unmount();
  navigation.go("/datasets/1/models");
  expect(navigation.asking).toBeNull();
});

it("a draft that cannot be read is offered until the person discards it", async () => {
  const { work } = show();
  const labels = { dtype: "uint16", bytes: new ArrayBuffer(4) };
  const journal = { base: { labels, cells: [], writer: "w" }, mark: { edits: 1 }, entries: [] };
  work.offers.list = [{ where: "browser", journal } as unknown as Offer];
  const dialog = await screen.findByRole("dialog");
  expect(escape(dialog)).toBe(false);
  await within(dialog).findByRole("alert");
  expect(work.offered).not.toBeNull();
  expect(screen.getByRole("dialog")).toBe(dialog);
  // A browser that closes it all the same.
  (dialog as HTMLDialogElement).close();
  expect((dialog as HTMLDialogElement).open).toBe(true);
});

it("a closed dialog gives the focus back to the button that opened it", async () => {
  const { editor } = show();
  const button = screen.getByRole("button", { name: "Skip" });
  button.focus();
  await fireEvent.click(button);
  await fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
  expect(screen.queryByRole("dialog")).toBeNull();
  expect(document.activeElement).toBe(button);
  expect(editor.readOnly).toBe(false);
});
