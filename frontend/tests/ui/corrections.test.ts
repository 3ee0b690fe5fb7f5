// @vitest-environment jsdom
/** Tools, keys and buttons that correct cells, as the page wires them. */
import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { addCell, splitAlong } from "../../src/core/corrections";
import { cellsOf, openDocument } from "../../src/core/document";
import type { Point } from "../../src/core/geometry";
import { openState, transact } from "../../src/core/state";
import { CellsStep } from "../../src/core/steps";
import { toScreen } from "../../src/render/camera";
import { showPieces } from "../../src/ui/editor/strays";
import CellPanel from "../../src/ui/editor/CellPanel.svelte";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { hintOf } from "../../src/ui/editor/hints";
import { Keyboard } from "../../src/ui/editor/keyboard.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import { unseen } from "../../src/ui/editor/origins";
import { Pointers } from "../../src/ui/editor/pointers";
import TypesPanel from "../../src/ui/editor/TypesPanel.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch } from "../api/stubs";
import { picture, rowsOf } from "../core/drawing";
import { opened } from "./opened";

const WIDE = { width: 9, height: 3, channels: [new Uint16Array(27)] };

function open(rows: string[], over: Partial<Opened> = {}): Editor {
  const editor = new Editor(opened({ raster: WIDE, ...over }, rows), false);
  editor.resize({ width: 900, height: 300 });
  return editor;
}

function keysOf(editor: Editor): (key: string, held?: KeyboardEventInit) => void {
  const desk = { editor, submit: vi.fn(), go: vi.fn(), saveDraft: vi.fn(), toggleHelp: vi.fn() };
  const keyboard = new Keyboard(desk as never, vi.fn());
  return (key, held = {}) => {
    keyboard.down(new KeyboardEvent("keydown", { key, ...held }));
  };
}

beforeEach(() => {
  localStorage.clear();
  toasts.length = 0;
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("keys", () => {
  const rows = [".........", "..1...2..", "........."];

  it("choose the tools", () => {
    const editor = open(rows);
    const press = keysOf(editor);
    const chosen = ["k", "w", "c", "t", "l"].map((key) => {
      press(key);
      return editor.tool;
    });
    expect(chosen).toEqual(["split", "wand", "pick", "type", "lasso"]);
  });

  it("grow and shrink the selected cells, on any of the keyboards", () => {
    const editor = open(rows);
    const press = keysOf(editor);
    editor.dispatch({ kind: "select", selection: new Set([1]) });
    press("}", { shiftKey: true });
    expect(rowsOf(editor.state.doc)).toEqual(["..1......", ".111..2..", "..1......"]);
    press("<");
    expect(rowsOf(editor.state.doc)).toEqual([".........", "..1...2..", "........."]);
  });

  it("take pieces apart: of the selected cells, else of all", () => {
    const editor = open(["1.1...2.2", "1.....2..", "........."]);
    const press = keysOf(editor);
    editor.dispatch({ kind: "select", selection: new Set([1]) });
    press("F", { shiftKey: true });
    expect(rowsOf(editor.state.doc)[0]).toBe("1.....2.2");
    editor.dispatch({ kind: "select", selection: new Set() });
    press("K", { shiftKey: true });
    expect(rowsOf(editor.state.doc)[0]).toBe("1.....2.3");
  });

  it("bring the model's version back under the pointer", () => {
    const model = picture([".........", ".111..22.", "........."]);
    const editor = open([".........", ".1.......", "........."], { model });
    const press = keysOf(editor);
    editor.pointer = { x: 1.5, y: 1.5 };
    press("o");
    editor.pointer = { x: 6.5, y: 1.5 };
    press("o");
    expect(rowsOf(editor.state.doc)[1]).toBe(".111..22.");
  });
});

describe("a pen", () => {
  const surface = document.createElement("div");
  surface.setPointerCapture = () => undefined;

  function stroke(editor: Editor, over: Partial<PointerEvent>): void {
    const pointers = new Pointers(editor, surface);
    const event = { pointerId: 1, pointerType: "pen", button: 0, clientX: 450, clientY: 150 };
    const sent = { pressure: 0.5, ...event, ...over } as unknown as PointerEvent;
    pointers.down(sent);
    pointers.up(sent);
  }

  it("turned round erases, whatever the tool", () => {
    const editor = open(["111111111", "111111111", "111111111"]);
    editor.chooseTool("split");
    editor.dispatch({ kind: "set", options: { diameter: 1 } });
    stroke(editor, { button: 5 });
    expect(rowsOf(editor.state.doc)).toEqual(["111111111", "1111.1111", "111111111"]);
  });

  it("pressed lightly paints a thin stroke; a mouse is never light", () => {
    const areas = (["pen", "mouse"] as const).map((pointerType) => {
      const editor = open([".........", ".........", "........."]);
      editor.chooseTool("brush");
      editor.dispatch({ kind: "set", options: { diameter: 3 } });
      stroke(editor, { pointerType, pressure: 0.1 });
      return [...cellsOf(editor.state.doc)][0]?.area;
    });
    expect(areas).toEqual([1, 9]);
  });
});

describe("picking", () => {
  // A request that writes carries the token in a cookie, which jsdom has.
  it("says in the server's words why there is no cell", async () => {
    stubFetch(() => json({ message: "The segmenter sees no cell there.", code: "x" }, 404));
    const editor = open([".........", ".........", "........."]);
    expect(await editor.context.services?.cellAt({ x: 1, y: 1 })).toBeNull();
    expect(toasts.map(({ text }) => text)).toEqual(["The segmenter sees no cell there."]);
  });

  it("is not offered on an image that is only looked at", () => {
    expect(new Editor(opened(), true).context.services).toBeUndefined();
  });
});

describe("the cell panel", () => {
  it("counts the cells in pieces, shows them, and mends them", async () => {
    const editor = open(["1.1...2.2", "1.....2..", "........."]);
    const { container } = render(CellPanel, { editor });
    expect(container.textContent).toMatch(/2\s+cells in pieces/);
    await fireEvent.click(screen.getByRole("button", { name: "Show" }));
    expect([...editor.state.selection]).toEqual([1, 2]);
    await fireEvent.click(screen.getByRole("button", { name: "Separate" }));
    expect(rowsOf(editor.state.doc)[0]).toBe("1.3...2.4");
    // The rows stay: what is below them does not jump.
    expect(container.textContent).toMatch(/0\s+cells in pieces/);
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Separate" }).disabled).toBe(true);
  });
});

describe("a cell without a model's opinion", () => {
  const rows = ["111111...", "111111...", "111111..."];

  it("says where it comes from, as long as that is not undone", async () => {
    const editor = open(rows);
    const { container } = render(CellPanel, { editor });
    const says = async (label: number): Promise<string> => {
      editor.dispatch({ kind: "select", selection: new Set([label]) });
      await tick();
      return container.textContent;
    };
    const at = (x: number, y: number): Point => ({ x, y });
    expect(await says(1)).toContain("The models say nothing of it.");
    editor.run(splitAlong([at(2.5, -1), at(2.5, 4)]));
    expect(await says(2)).toContain("Split off from #1.");
    const meta = { type: null, source: "" } as const;
    const pixel = (x: number) => [{ y: 1, x0: x, x1: x + 1 }];
    for (const [x, name] of [7, 8].map((x, index) => [x, ["Pick cell", "Brush"][index]] as const)) {
      editor.run(addCell(pixel(x), { name: name ?? "", meta, at: null }));
    }
    expect(await says(3)).toContain("Picked from the segmenter.");
    expect(await says(4)).toContain("Drawn by hand; the models have not seen it.");
    expect(await says(1)).toContain("The models say nothing of it.");
  });

  it("that changed thresholds brought says so", () => {
    const state = openState(picture(rows));
    const steps = [new CellsStep([{ label: 9, before: null, after: { type: null, source: "" } }])];
    const name = "Other thresholds";
    expect(unseen(transact(state, { kind: "edit", name, steps }), 9)).toBe(
      "From the segmenter, at changed thresholds.",
    );
  });
});

describe("J after a split", () => {
  const rows = ["111111.22", "111111.22", "111111.22"];

  it("takes up the tool that merges; what is selected later it merges as ever", () => {
    const editor = open(rows);
    const press = keysOf(editor);
    press("k");
    editor.run(
      splitAlong([
        { x: 2.5, y: -1 },
        { x: 2.5, y: 4 },
      ]),
    );
    const pieces = editor.state.selection;
    press("j");
    expect([editor.tool, editor.state.doc.geometry.size]).toEqual(["merge", 3]);
    expect(hintOf(editor)).toBe("Draw a stroke over the cells to merge");
    press("j");
    expect(editor.state.doc.geometry.size).toBe(3);
    editor.dispatch({ kind: "select", selection: new Set() });
    editor.dispatch({ kind: "select", selection: new Set(pieces) });
    press("j");
    expect(editor.state.doc.geometry.size).toBe(2);
  });
});

it("a stray pixel is brought so near that it is seen, in a ring that blinks", () => {
  vi.useFakeTimers();
  const width = 1000;
  const flat = new Uint32Array(width * 40);
  for (let x = 0; x < 700; x++) flat[20 * width + x] = 1;
  flat[20 * width + 950] = 1;
  const raster = { width, height: 40, channels: [new Uint16Array(flat.length)] };
  const doc = openDocument(flat, raster, []);
  const editor = new Editor(opened({ raster, doc }), false);
  editor.resize({ width: 900, height: 600 });
  showPieces(editor, [1]);
  const { camera, view } = editor;
  const at = toScreen(camera, view, { x: 950.5, y: 20.5 });
  expect(camera.scale).toBeGreaterThan(5);
  expect(at.x > 0 && at.x < view.width && at.y > 0 && at.y < view.height).toBe(true);
  const rings = (): number => editor.backdrop.filter(({ kind }) => kind === "ring").length;
  expect(rings()).toBe(1);
  vi.advanceTimersByTime(300);
  expect(rings()).toBe(0);
  vi.advanceTimersByTime(300);
  expect(rings()).toBe(1);
  vi.advanceTimersByTime(10_000);
  expect(rings()).toBe(0);
  vi.useRealTimers();
});

describe("the types panel", () => {
  const dataset = {
    id: 1,
    name: "demo",
    types: [
      { id: 1, name: "HEK", color: "#ff0000" },
      { id: 2, name: "N2a", color: "#00ff00" },
    ],
  } as unknown as Opened["dataset"];

  it("types nothing unless cells are selected, or untyped or all is chosen, once", async () => {
    const editor = open(["1.2.3....", ".........", "........."], { dataset });
    render(TypesPanel, { editor, choose: vi.fn() });
    const button = (name: string | RegExp) =>
      screen.getByRole<HTMLButtonElement>("button", { name });
    const as = () => within(screen.getByRole("group", { name: "as" })).getByText("N2a");
    const hint = () => screen.queryByText(/Select cells first/);
    expect(button("selected 0").getAttribute("aria-pressed")).toBe("true");
    expect([(as() as HTMLButtonElement).disabled, hint() !== null]).toEqual([true, true]);
    await fireEvent.click(button("untyped 2"));
    expect([(as() as HTMLButtonElement).disabled, hint()]).toEqual([false, null]);
    await fireEvent.click(as());
    expect(button("selected 0").getAttribute("aria-pressed")).toBe("true");
    await fireEvent.click(button("all 3"));
    editor.dispatch({ kind: "select", selection: new Set([3]) });
    await tick();
    expect(button("selected 1").getAttribute("aria-pressed")).toBe("true");
  });

  it("types all untyped, all selected or all cells", async () => {
    const editor = open(["1.2.3....", ".........", "........."], { dataset });
    render(TypesPanel, { editor, choose: vi.fn() });
    const types = (): string =>
      [...cellsOf(editor.state.doc)].map(({ type }) => type ?? "-").join(" ");
    const as = (name: string): HTMLElement => {
      const group = screen.getByRole("group", { name: "as" });
      return [...group.querySelectorAll("button")].find(
        (button) => button.textContent === name,
      ) as HTMLElement;
    };
    await fireEvent.click(screen.getByRole("button", { name: "untyped 2" }));
    await fireEvent.click(as("N2a"));
    expect(types()).toBe("HEK N2a N2a");
    editor.dispatch({ kind: "select", selection: new Set([2]) });
    await tick();
    await fireEvent.click(screen.getByRole("button", { name: "selected 1" }));
    await fireEvent.click(as("HEK"));
    expect(types()).toBe("HEK HEK N2a");
    await fireEvent.click(screen.getByRole("button", { name: "all 3" }));
    await fireEvent.click(as("N2a"));
    expect(types()).toBe("N2a N2a N2a");
    expect(editor.state.history.done).toHaveLength(3);
  });
});
