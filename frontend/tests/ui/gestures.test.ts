// @vitest-environment jsdom
/** Keys while a tool has points set, and just after a gesture has ended by itself. */
import { render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { deleteCells } from "../../src/core/commands";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { hintOf } from "../../src/ui/editor/hints";
import { Keyboard } from "../../src/ui/editor/keyboard.svelte";
import { GESTURES } from "../../src/ui/editor/keymap";
import ToolRail from "../../src/ui/editor/ToolRail.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { opened } from "./opened";

let editor: Editor;
let press: (key: string, held?: KeyboardEventInit) => void;
let now = 0;
const submit = vi.fn();
const desk = () => ({ editor, submit, go: vi.fn(), saveDraft: vi.fn(), toggleHelp: vi.fn() });

beforeEach(() => {
  localStorage.clear();
  toasts.length = 0;
  submit.mockReset();
  now = 5_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const raster = { width: 20, height: 20, channels: [new Uint16Array(400)] };
  const rows = Array.from({ length: 20 }, (_, y) => (y < 4 ? "1111" : "....") + ".".repeat(16));
  editor = new Editor(opened({ raster }, rows), false);
  editor.resize({ width: 200, height: 200 });
  editor.camera = { centre: { x: 10, y: 10 }, scale: 10 };
  const keyboard = new Keyboard(desk(), vi.fn());
  press = (key, held = {}) => {
    keyboard.down(new KeyboardEvent("keydown", { key, ...held }));
  };
});
afterEach(() => {
  vi.restoreAllMocks();
});

function click(x: number, y: number, held: { shift?: boolean } = {}): void {
  const screenPoint = { x: x * 10, y: y * 10 };
  const input = { at: { x, y }, screen: screenPoint, pressure: 0.5, pen: false, alt: false };
  const tool = editor.tools[editor.tool];
  tool.pointerDown(editor.context, { ...input, shift: false, ...held });
  tool.pointerUp(editor.context, { ...input, shift: false, ...held });
  editor.toolVersion++;
}
function closePolygon(): void {
  press("p");
  for (const [x, y] of [
    [8, 8],
    [16, 8],
    [16, 16],
    [8, 8.3],
  ] as const)
    click(x, y, { shift: true });
}
const said = (): string[] => toasts.map(({ text }) => text);
const cells = (): number => editor.state.doc.geometry.size;

it("Shift+Enter just after a polygon closed by itself submits only when pressed again", () => {
  closePolygon();
  expect(cells()).toBe(2);
  now += 600;
  press("Shift");
  press("Enter", { shiftKey: true });
  expect(submit).not.toHaveBeenCalled();
  expect(said()).toEqual(["The polygon is closed already; press again to submit."]);
  press("Enter", { shiftKey: true });
  expect(submit).toHaveBeenCalledOnce();
});

it("a second later, after another key, or with Ctrl, it submits at once", () => {
  closePolygon();
  now += 1_001;
  press("Enter", { shiftKey: true });
  closePolygon();
  press("v");
  press("Enter", { shiftKey: true });
  closePolygon();
  press("Enter", { ctrlKey: true });
  expect(submit.mock.calls).toEqual([[false], [false], [true]]);
  expect(said()).toEqual([]);
});

it("Enter just after a lasso does not accept the cell under review", () => {
  const model = editor.state.doc;
  const opinion = { score: 1, probabilities: {}, uncertainty: 0.5, terms: {}, seenBy: "both" };
  editor = new Editor(opened({ doc: model, evidence: new Map([[1, opinion]]) }), false);
  const keyboard = new Keyboard(desk(), vi.fn());
  const enter = () => {
    keyboard.down(new KeyboardEvent("keydown", { key: "Enter" }));
  };
  editor.reviewing.walk(1);
  editor.context.ended?.("The loop is closed");
  enter();
  expect(editor.reviewing.left).toBe(1);
  expect(said()).toEqual(["The loop is closed already; press again to accept the cell."]);
  enter();
  expect(editor.reviewing.finished).toBe(true);
});

it.each(["p", "k"])("Ctrl+Z takes back points of tool %s and no finished edit", (key) => {
  editor.run(deleteCells(new Set([1])));
  press("z", { ctrlKey: true });
  expect(cells()).toBe(1);
  editor.dispatch({ kind: "redo" });
  editor.dispatch({ kind: "undo" });
  press(key);
  click(1, 1);
  click(3, 1);
  click(3, 3);
  press("z", { ctrlKey: true });
  press("Z", { ctrlKey: true, shiftKey: true });
  press("z", { ctrlKey: true });
  press("z", { ctrlKey: true });
  expect([editor.tools[editor.tool].busy, cells()]).toEqual([true, 1]);
  expect(editor.state.history.undone).toHaveLength(1);
  press("z", { ctrlKey: true });
  expect(editor.tools[editor.tool].busy).toBe(false);
  press("y", { ctrlKey: true });
  expect(cells()).toBe(0);
  press("z", { ctrlKey: true });
  expect(cells()).toBe(1);
});

it("a held Ctrl+Z takes points back and stops there", () => {
  editor.run(deleteCells(new Set([1])));
  press("p");
  click(8, 8);
  click(12, 8);
  press("z", { ctrlKey: true });
  for (let time = 0; time < 5; time++) press("z", { ctrlKey: true, repeat: true });
  expect([editor.tools.polygon.busy, cells()]).toEqual([false, 0]);
  press("z", { ctrlKey: true });
  expect(cells()).toBe(1);
});

it("the undo button takes points back as well", async () => {
  render(ToolRail, { desk: desk() });
  press("p");
  click(8, 8);
  const button = await screen.findByRole("button", { name: /^Take the last point back/ });
  button.click();
  expect(editor.tools.polygon.busy).toBe(false);
});

it("the redo button can be pressed only when a point was taken back", async () => {
  editor.run(deleteCells(new Set([1])));
  editor.undo();
  render(ToolRail, { desk: desk() });
  press("p");
  click(8, 8);
  click(12, 8);
  const redo = await screen.findByRole<HTMLButtonElement>("button", { name: /^Set it again/ });
  expect(redo.disabled).toBe(true);
  editor.undo();
  await vi.waitFor(() => {
    expect(redo.disabled).toBe(false);
  });
  redo.click();
  await vi.waitFor(() => {
    expect(redo.disabled).toBe(true);
  });
  press("Escape");
  const other = await screen.findByRole<HTMLButtonElement>("button", { name: /^Redo delete/ });
  expect(other.disabled).toBe(false);
});

it("the line below the image says what Shift and Alt do in a polygon on a selected cell", () => {
  press("p");
  click(8, 8);
  expect(hintOf(editor)).not.toContain("Shift");
  press("Escape");
  editor.dispatch({ kind: "select", selection: new Set([1]) });
  expect(hintOf(editor)).toBe("Shift: add to the selected cell; Alt: cut from it");
  click(8, 8);
  expect(hintOf(editor)).toMatch(/^Shift: add to the selected cell; Alt: cut from it · Enter/);
});

it("the brush says where a new cell begins", () => {
  expect(hintOf(editor)).toContain("on the background a new cell begins");
  press("n");
  expect(hintOf(editor)).toBe("The next stroke is a new cell");
});

it("the list of keys names nothing that reads like a combination with P", () => {
  expect(GESTURES.filter(({ keys }) => /P\b/.test(keys) && !keys.startsWith("Pen"))).toEqual([]);
  expect(GESTURES.filter(({ name }) => name.includes("polygon")).map(({ keys }) => keys)).toEqual([
    "Shift+click",
    "Alt+click",
  ]);
});
