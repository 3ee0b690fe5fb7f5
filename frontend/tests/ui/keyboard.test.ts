// @vitest-environment jsdom
/** Keys over the open image, wherever the focus is. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deleteCells } from "../../src/core/commands";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { Keyboard, leaveSlider } from "../../src/ui/editor/keyboard.svelte";
import { readPreferences } from "../../src/ui/editor/preferences";
import { rowsOf } from "../core/drawing";
import { opened } from "./opened";

let editor: Editor;
let keyboard: Keyboard;
const submit = vi.fn();
const choose = vi.fn();

beforeEach(() => {
  localStorage.clear();
  document.body.innerHTML = `<input type="range" /><input type="radio" /><input type="checkbox" /><button>b</button>`;
  const channels = [new Uint16Array(5), new Uint16Array(5)];
  const raster = { width: 5, height: 1, channels };
  editor = new Editor(opened({ raster, roles: ["cytoplasm", "nucleus"] }), false);
  editor.resize({ width: 500, height: 100 });
  const rest = { go: vi.fn(), saveDraft: vi.fn(), toggleHelp: vi.fn() };
  keyboard = new Keyboard({ editor, submit, ...rest }, choose);
  window.addEventListener("keydown", onKey);
});
afterEach(() => {
  window.removeEventListener("keydown", onKey);
  submit.mockReset();
  choose.mockReset();
});

const onKey = (event: KeyboardEvent): void => {
  keyboard.down(event);
};

/** Press a key on `place`; true when the editor took it. */
function press(key: string, place = "body", held: KeyboardEventInit = {}): boolean {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...held });
  return !(document.querySelector(place) as Element).dispatchEvent(event);
}

it("Enter in a number field gives the keys back to the image", () => {
  document.body.innerHTML += `<input type="number" value="2" />`;
  const field = document.querySelector<HTMLInputElement>("[type=number]");
  field?.focus();
  press("x", "[type=number]");
  expect(editor.overlay.shown).toBe(true);
  press("Enter", "[type=number]");
  expect(document.activeElement).toBe(document.body);
});

describe("on a slider", () => {
  it("Shift+Enter submits and Space pans, for a slider has no use for them", () => {
    expect(press("Enter", "[type=range]", { shiftKey: true })).toBe(true);
    expect(submit).toHaveBeenCalledWith(false);
    press(" ", "[type=range]");
    expect(keyboard.spaceHeld).toBe(true);
  });

  it("Home, End and the arrows are the slider's", () => {
    const { camera } = editor;
    for (const key of ["Home", "End", "ArrowLeft", "PageUp"]) {
      expect(press(key, "[type=range]")).toBe(false);
    }
    expect(editor.camera).toBe(camera);
  });

  it("let go by the pointer the keys are the image's again", () => {
    const slider = document.querySelector("input") as HTMLInputElement;
    slider.focus();
    leaveSlider();
    expect(document.activeElement).toBe(document.body);
  });
});

it("a focused button keeps Enter and Space, a radio button its arrows", () => {
  expect([press("Enter", "button"), press(" ", "button")]).toEqual([false, false]);
  expect(press("Enter", "button", { shiftKey: true })).toBe(true);
  expect(submit).toHaveBeenCalledOnce();
  expect(press("ArrowDown", "[type=radio]")).toBe(false);
});

it("what means nothing to a radio button or a checkbox is the image's", () => {
  editor.zoomBy(3);
  const { scale } = editor.camera;
  expect(press("Home", "[type=radio]")).toBe(true);
  expect(editor.camera.scale).toBeLessThan(scale);
  expect(press("Enter", "[type=radio]", { shiftKey: true })).toBe(true);
  expect(submit).toHaveBeenCalledOnce();
  expect(press(" ", "[type=radio]")).toBe(false);
  expect([press("ArrowUp", "[type=checkbox]"), press(" ", "[type=checkbox]")]).toEqual([
    true,
    false,
  ]);
});

it("arrows look further to one side", () => {
  const before = editor.camera.centre;
  press("ArrowRight");
  expect(editor.camera.centre.x).toBeGreaterThan(before.x);
  press("ArrowLeft", "button");
  expect(editor.camera.centre.x).toBeCloseTo(before.x);
});

it("N asked for by mistake is taken back by N or Escape", () => {
  press("n");
  expect([editor.state.options.startNew, editor.tool]).toEqual([true, "brush"]);
  press("n");
  expect(editor.state.options.startNew).toBe(false);
  press("n");
  press("Escape");
  expect(editor.state.options.startNew).toBe(false);
});

it("N or Escape after N takes up the tool from before, unless another was chosen", () => {
  const after = (...pressed: string[]): string => {
    for (const key of pressed) press(key);
    return editor.tool;
  };
  expect([after("v", "n"), after("n")]).toEqual(["brush", "select"]);
  expect([after("w", "n"), after("Escape")]).toEqual(["brush", "wand"]);
  expect(after("v", "n", "p", "n")).toBe("polygon");
  expect(after("b", "n", "n")).toBe("brush");
});

it("one key shows a channel alone, and all of them again", () => {
  const shown = (): boolean[] => editor.channels.map(({ visible }) => visible);
  press("R", "body", { shiftKey: true });
  expect(shown()).toEqual([false, true]);
  press("R", "body", { shiftKey: true });
  expect(shown()).toEqual([true, true]);
});

it("a channel that the image has not cannot be shown alone", () => {
  const grey = new Editor(opened(), false);
  grey.showOnly(-1);
  expect(grey.channels.map(({ visible }) => visible)).toEqual([true]);
});

it("a digit types by what is printed, else by its place, where no key is bound to that", () => {
  const code = { code: "Digit6" };
  const { scale } = editor.camera;
  // AZERTY: the key that zooms out lies where others have the 6.
  press("-", "body", code);
  expect([editor.camera.scale < scale, choose.mock.calls]).toEqual([true, []]);
  press("1", "body", { ...code, shiftKey: true });
  press("&", "body", { code: "Digit1" });
  press("F1", "body", { code: "F1" });
  expect(choose.mock.calls).toEqual([["HEK"], ["HEK"]]);
});

it("Delete while the wand is held does not get into its gesture", () => {
  const input = { at: { x: 2, y: 0 }, screen: { x: 250, y: 50 }, pressure: 0 };
  const hand = { ...input, shift: false, alt: false, pen: false };
  editor.run(deleteCells(new Set([1, 2])));
  const before = rowsOf(editor.state.doc);
  editor.chooseTool("wand");
  editor.tools.wand.pointerDown(editor.context, hand);
  expect(editor.state.history.open).not.toBeNull();
  press("Delete");
  editor.tools.wand.pointerMove(editor.context, { ...hand, screen: { x: 260, y: 50 } });
  editor.tools.wand.pointerUp(editor.context, hand);
  expect(rowsOf(editor.state.doc)).not.toEqual(before);
  press("z", "body", { ctrlKey: true });
  expect(rowsOf(editor.state.doc)).toEqual(before);
  expect([...editor.state.doc.geometry.entries()]).toEqual([]);
});

it("the brush's size is remembered with the data set", () => {
  press("]");
  expect(editor.state.options.diameter).toBe(14);
  expect(readPreferences(1).diameter).toBe(14);
  expect(new Editor(opened(), false).state.options.diameter).toBe(14);
});
