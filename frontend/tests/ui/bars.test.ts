// @vitest-environment jsdom
/** What stands around the image: it says what is at hand, and asks before work is lost. */
import { fireEvent, render, screen, waitFor } from "@testing-library/svelte";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { toggleMode } from "../../src/core/commands";
import FlagDialog from "../../src/ui/editor/FlagDialog.svelte";
import { ImageFlags } from "../../src/ui/editor/flags.svelte";
import EditorBar from "../../src/ui/editor/EditorBar.svelte";
import KeysOverlay from "../../src/ui/editor/KeysOverlay.svelte";
import { json, stubFetch } from "../api/stubs";
import CellPanel from "../../src/ui/editor/CellPanel.svelte";
import { Editor } from "../../src/ui/editor/editor.svelte";
import Minimap from "../../src/ui/editor/Minimap.svelte";
import RestoreDialog from "../../src/ui/editor/RestoreDialog.svelte";
import StatusBar from "../../src/ui/editor/StatusBar.svelte";
import { DIFF_COLOURS } from "../../src/render/settings";
import { stubDialogs } from "./dialogs";
import { opened } from "./opened";
import { workOn } from "./visits";

let editor: Editor;
beforeEach(() => {
  editor = new Editor(opened(), false);
  editor.resize({ width: 500, height: 100 });
});

function click(x: number): void {
  const hand = { at: { x, y: 0 }, screen: { x: x * 100, y: 50 }, shift: false, alt: false };
  const input = { ...hand, pressure: 0, pen: false };
  const tool = editor.tools[editor.tool];
  tool.pointerDown(editor.context, input);
  tool.pointerUp(editor.context, input);
  editor.toolVersion++;
}

describe("the status bar", () => {
  it("says that strokes overwrite other cells", async () => {
    render(StatusBar, { editor });
    expect(screen.queryByText("overwriting")).toBeNull();
    editor.run(toggleMode);
    expect(await screen.findByText("overwriting")).toBeDefined();
  });

  it("says what ends a polygon that is begun", async () => {
    render(StatusBar, { editor });
    editor.chooseTool("polygon");
    click(1);
    expect(
      await screen.findByText(/Enter or the first point closes · Backspace takes back/),
    ).toBeDefined();
    editor.cancelGesture();
    await waitFor(() => {
      expect(screen.queryByText(/closes/)).toBeNull();
    });
  });
});

it("the cell's buttons keep their place when no cell is selected", async () => {
  render(CellPanel, { editor });
  const grow = screen.getByRole<HTMLButtonElement>("button", { name: "Grow" });
  expect(grow.disabled).toBe(true);
  editor.dispatch({ kind: "select", selection: new Set([1]) });
  await waitFor(() => {
    expect(grow.disabled).toBe(false);
  });
});

it("the map is folded away, and stays so", async () => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  editor.resize({ width: 100, height: 20 });
  const { unmount } = render(Minimap, { editor });
  expect(screen.getByRole("img")).toBeDefined();
  await fireEvent.click(screen.getByRole("button", { name: "Map" }));
  unmount();
  render(Minimap, { editor });
  expect(screen.queryByRole("img")).toBeNull();
  vi.restoreAllMocks();
});

it("the map goes to the other side, and stays there", async () => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  localStorage.clear();
  editor.resize({ width: 100, height: 20 });
  const { unmount } = render(Minimap, { editor });
  const at = (): string[] => [...screen.getByRole("group", { name: "Map" }).classList];
  expect(at()).toContain("left");
  const round = "Map to the other side";
  await fireEvent.click(screen.getByRole("button", { name: round }));
  unmount();
  render(Minimap, { editor });
  expect(at()).toContain("right");
  expect(localStorage.getItem("cytoloop.editor.map-side")).toBe("right");
  await fireEvent.click(screen.getByRole("button", { name: round }));
  expect(at()).toContain("left");
  vi.restoreAllMocks();
});

it("a cell under the map is not pointed at", async () => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  editor.resize({ width: 100, height: 20 });
  render(Minimap, { editor });
  editor.pointer = { x: 0, y: 0 };
  await fireEvent.pointerEnter(screen.getByRole("group", { name: "Map" }));
  expect(editor.pointer).toBeNull();
  vi.restoreAllMocks();
});

it("a flagged image says so in the bar; a manager takes the flag back, keys send another", async () => {
  stubDialogs();
  const flag = {
    id: 4,
    note: "Is this debris?",
    author: "bob",
    created_at: new Date().toISOString(),
  };
  const calls = stubFetch(({ method, address }) => {
    if (method === "GET") return json({ next: null, results: [flag] });
    return json(address.endsWith("/resolve/") ? flag : { ...flag, id: 5, note: "A second" });
  });
  const flags = new ImageFlags(editor.opened.image, 1);
  await flags.load();
  expect(calls[0]?.address).toContain("image=7");
  const work = workOn(editor);
  const bar = { editor, work, submit: vi.fn(), skip: null, flag: vi.fn(), next: null };
  const { unmount } = render(EditorBar, { ...bar, flags: flags.open });
  expect(screen.getByRole("button", { name: "Flagged: Is this debris? (bob)" })).toBeDefined();
  unmount();
  const close = vi.fn();
  render(FlagDialog, { flags, manages: true, close });
  await fireEvent.click(screen.getByRole("button", { name: "Take it back" }));
  await waitFor(() => {
    expect(flags.open).toEqual([]);
  });
  const note = screen.getByLabelText<HTMLTextAreaElement>("What should be looked at?");
  await fireEvent.input(note, { target: { value: "A second" } });
  await fireEvent.keyDown(note, { key: "Enter", ctrlKey: true });
  await waitFor(() => {
    expect(close).toHaveBeenCalled();
  });
  expect(flags.open.map((each) => each.note)).toEqual(["A second"]);
  vi.unstubAllGlobals();
});

it("the list of keys is closed by a button too", async () => {
  stubDialogs();
  const close = vi.fn();
  render(KeysOverlay, { close });
  await fireEvent.click(screen.getByRole("button", { name: /Close/ }));
  expect(close).toHaveBeenCalled();
});

it("unsubmitted work is discarded only after a question", async () => {
  stubDialogs();
  const origin = { base: { writer: "w" }, mark: { savedAt: 1, edits: 3, lineage: [] } };
  const offer = { where: "browser", journal: { ...origin, entries: [] } };
  const discardOffered = vi.fn(() => Promise.resolve());
  const offers = { list: [offer], isAtHand: () => false };
  const work = { offers, offered: offer, image: { name: "a.tif" }, discardOffered };
  render(RestoreDialog, { work: work as never });
  await fireEvent.click(screen.getByRole("button", { name: "Discard it" }));
  expect(discardOffered).not.toHaveBeenCalled();
  await fireEvent.click(screen.getByRole("button", { name: "Discard 3 edits" }));
  expect(discardOffered).toHaveBeenCalledWith(offer);
});

it("an added cell is in a colour that no channel has", () => {
  const [red, green, blue] = DIFF_COLOURS.added;
  expect(Math.min(red, blue)).toBeGreaterThan(green + 0.5);
});
