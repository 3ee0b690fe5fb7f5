// @vitest-environment jsdom
/** Review by keys, holding a key to compare, and the panels that go with them. */
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { growSelection } from "../../src/core/corrections";
import { openDocument } from "../../src/core/document";
import type { Evidence } from "../../src/core/evidence";
import type { Box } from "../../src/core/geometry";
import { toImage, toScreen } from "../../src/render/camera";
import { mapPlace } from "../../src/ui/editor/mapPlace.svelte";
import { broughtIn } from "../../src/ui/editor/bringing";
import { Editor } from "../../src/ui/editor/editor.svelte";
import FlagDialog from "../../src/ui/editor/FlagDialog.svelte";
import { ImageFlags } from "../../src/ui/editor/flags.svelte";
import { Keyboard } from "../../src/ui/editor/keyboard.svelte";
import { keys } from "../../src/ui/editor/keys.svelte";
import KeysOverlay from "../../src/ui/editor/KeysOverlay.svelte";
import Minimap from "../../src/ui/editor/Minimap.svelte";
import RegionsPanel from "../../src/ui/editor/RegionsPanel.svelte";
import ReviewBar from "../../src/ui/editor/ReviewBar.svelte";
import ReviewCard from "../../src/ui/editor/ReviewCard.svelte";
import FlagsPanel from "../../src/ui/components/FlagsPanel.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { picture } from "../core/drawing";
import { stubDialogs } from "./dialogs";
import { opened } from "./opened";
import { dataset } from "./rows";

const doc = picture(
  ["11.22"],
  [
    [1, { type: "HEK", source: "model" }],
    [2, { type: "HEK", source: "model" }],
  ],
);
const opinion = (uncertainty: number, terms: Evidence["terms"]): Evidence => ({
  ...{ score: 1, probabilities: { HEK: 0.52, N2a: 0.48 }, seenBy: "both" },
  uncertainty,
  terms,
});
const evidence = new Map([
  [1, opinion(0.9, { border: 0.8 })],
  [2, opinion(0.4, { type: 0.7 })],
]);

let editor: Editor;
let keyboard: Keyboard;
const submit = vi.fn();

beforeEach(() => {
  stubDialogs();
  localStorage.clear();
  sessionStorage.clear();
  keys.choosePreset("default");
  editor = new Editor(opened({ doc, evidence, model: doc }), false);
  editor.resize({ width: 500, height: 100 });
  keyboard = new Keyboard(desk(), (type) => {
    editor.reviewing.decide({ kind: "retype", type });
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  submit.mockReset();
});

const desk = () => ({ editor, submit, go: vi.fn(), saveDraft: vi.fn(), toggleHelp: vi.fn() });
const press = (key: string, over: KeyboardEventInit = {}): void => {
  keyboard.down(new KeyboardEvent("keydown", { key, ...over }));
};
const typeOf = (label: number) => editor.settled.doc.meta.get(label);

describe("review mode", () => {
  it("says where it is and why, and Enter accepts instead of submitting", async () => {
    render(ReviewBar, { editor });
    render(ReviewCard, { editor });
    expect(screen.queryByRole("region")).toBeNull();
    press("u");
    const bar = await screen.findByRole("region", { name: "Review" });
    expect(bar.textContent).toContain("Reviewing 1 of 2");
    const card = screen.getByLabelText("Cell under review");
    expect(card.textContent).toContain("the models disagree on the border");
    press("Enter");
    expect(typeOf(1)).toEqual({ type: "HEK", source: "human" });
    await waitFor(() => expect(card.textContent).toContain("52 % HEK / 48 % N2a"));
    press("Enter");
    await waitFor(() => expect(bar.textContent).toContain("Reviewed all 2 cells"));
    press("Enter");
    expect(submit).not.toHaveBeenCalled();
    press("Escape");
    press("Enter");
    expect(submit).not.toHaveBeenCalled();
    press("Enter", { shiftKey: true });
    expect(submit).toHaveBeenCalledOnce();
  });

  it("retypes by digit and removes by Delete, each time going on", () => {
    press("u");
    press("1", { code: "Digit1" });
    expect(editor.reviewing.subject?.label).toBe(2);
    press("Delete");
    expect(editor.settled.doc.geometry.get(2)).toBeUndefined();
    expect(editor.reviewing.finished).toBe(true);
  });

  it("comes back to the cell when something else was selected meanwhile", () => {
    press("u");
    editor.dispatch({ kind: "select", selection: new Set() });
    press("Enter");
    expect([...editor.state.selection]).toEqual([1]);
    expect(typeOf(1)?.source).toBe("model");
    press("Enter");
    expect(typeOf(1)?.source).toBe("human");
  });

  describe("on a picture larger than the view", () => {
    const SIDE = 200;
    const boxes = [
      [1, 150, 40, 6],
      [2, 40, 120, 70],
      [3, 0, 192, 8],
    ] as const;
    const flat = new Uint32Array(SIDE * SIDE);
    for (const [label, x0, y0, side] of boxes) {
      for (let y = y0; y < y0 + side; y++) flat.fill(label, y * SIDE + x0, y * SIDE + x0 + side);
    }
    const size = { width: SIDE, height: SIDE };
    const model = { type: "HEK", source: "model" } as const;
    const metas = boxes.map(([label]) => [label, model] as const);
    const doubts = new Map(boxes.map(([label]) => [label, opinion(1 / label, {})]));
    const start = { centre: { x: 100, y: 100 }, scale: 3 };

    beforeEach(() => {
      const raster = { ...size, channels: [new Uint16Array(SIDE * SIDE)] };
      const large = openDocument(flat, size, metas);
      editor = new Editor(opened({ raster, doc: large, evidence: doubts }), false);
      editor.resize({ width: 800, height: 800 });
      editor.camera = start;
      keyboard = new Keyboard(desk(), vi.fn());
    });

    it("undo brings the restored cell into view and selects it", () => {
      press("u");
      const there = editor.camera;
      press("Delete");
      expect(editor.camera.centre).not.toEqual(there.centre);
      press("z", { ctrlKey: true });
      expect([...editor.state.selection]).toEqual([1]);
      expect(editor.camera.centre).toEqual(there.centre);
      expect(editor.reviewing.left).toBe(3);
    });

    it("undo within the cell that is looked at moves nothing", () => {
      press("u");
      editor.run(growSelection);
      editor.panBy(11, 7);
      const { camera } = editor;
      press("z", { ctrlKey: true });
      expect(editor.camera).toBe(camera);
    });

    it("a large cell after a small one is not enlarged as much; leaving gives the view back", () => {
      press("u");
      expect(editor.camera.scale).toBe(20);
      press("u");
      expect(editor.camera.scale).toBeCloseTo(300 / 70);
      press("Escape");
      expect(editor.camera).toEqual(start);
    });

    it("a scale chosen in between is kept", () => {
      press("u");
      press("u");
      editor.zoomBy(1.5);
      const { scale } = editor.camera;
      for (let next = 0; next < 3; next++) press("u");
      expect([editor.reviewing.subject?.label, editor.camera.scale]).toEqual([2, scale]);
    });

    it("a cell at the upper edge comes out from under the bar, one in the corner from the card", () => {
      const over = (box: Box): number => {
        const view = { width: 900, height: 670 };
        const sight = { view, image: { width: 900, height: 900 }, usual: 4, camera: start };
        const camera = broughtIn(box, sight);
        return toScreen(camera, view, { x: box.x0, y: box.y0 }).y;
      };
      expect(over({ x0: 400, y0: 0, x1: 430, y1: 30 })).toBeCloseTo(100);
      expect(over({ x0: 870, y0: 0, x1: 900, y1: 30 })).toBeCloseTo(176);
      expect(over({ x0: 400, y0: 400, x1: 430, y1: 430 })).toBeCloseTo(335 - 60);
      const corners = [
        { x0: 0, y0: 870, x1: 30, y1: 900 },
        { x0: 870, y0: 870, x1: 900, y1: 900 },
      ] as const;
      const clear = (): boolean[] => corners.map((box) => over(box) < 670 - 210 - 119);
      expect(clear()).toEqual([true, false]);
      mapPlace.change();
      expect(clear()).toEqual([false, true]);
      mapPlace.change();
      mapPlace.fold();
      expect(clear()).toEqual([false, false]);
      mapPlace.fold();
    });

    it("at the image's edge nothing beside it is shown", () => {
      press("U", { shiftKey: true });
      const { camera, view } = editor;
      expect([toImage(camera, view, { x: 0, y: 0 }).x, editor.reviewing.subject?.label]).toEqual([
        0, 3,
      ]);
    });
  });

  it("goes to a cell of the review that is clicked", () => {
    press("u");
    editor.dispatch({ kind: "select", selection: new Set([2]) });
    expect(editor.reviewing.subject?.label).toBe(2);
  });

  it("left and begun again goes on with what is not decided", () => {
    press("u");
    press("Enter");
    press("Escape");
    editor.dispatch({ kind: "select", selection: new Set() });
    press("u");
    expect(editor.reviewing.subject?.label).toBe(2);
    expect(editor.reviewing.left).toBe(1);
  });

  it("ticks the decided cells on the picture while it goes on", () => {
    press("u");
    expect(editor.backdrop).toEqual([]);
    press("Enter");
    expect(editor.backdrop).toEqual([{ kind: "tick", at: { x: 1, y: 0.5 }, tone: "add" }]);
    press("Escape");
    expect(editor.backdrop).toEqual([]);
  });

  it("goes on after a reload with what is not decided, on the same prediction only", () => {
    press("u");
    press("Enter");
    const again = (id: number): Editor => {
      const prediction = { ...opened().prediction, id } as never;
      const later = new Editor(opened({ doc, evidence, prediction }), false);
      later.reviewing.walk(1);
      return later;
    };
    expect(again(opened().prediction?.id ?? 0).reviewing.subject?.label).toBe(2);
    expect(again(99).reviewing.subject?.label).toBe(1);
  });

  it("only looks where nothing may be changed", () => {
    editor = new Editor(opened({ doc, evidence }), true);
    editor.reviewing.walk(1);
    editor.reviewing.decide({ kind: "accept" });
    expect(editor.reviewing.subject?.label).toBe(2);
    expect(editor.reviewing.left).toBe(2);
  });
});

describe("comparing with the model", () => {
  it("stays after a short press and ends with a long one", () => {
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    press("y");
    keyboard.up(new KeyboardEvent("keyup", { key: "y" }));
    expect(editor.comparing).toBe(true);
    press("y");
    expect(editor.comparing).toBe(false);
    press("y");
    now.mockReturnValue(1000);
    keyboard.up(new KeyboardEvent("keyup", { key: "y" }));
    expect(editor.comparing).toBe(false);
  });

  it("is not possible without the model's masks", () => {
    editor = new Editor(opened({ doc, model: null }), false);
    expect(editor.compare()).toBe(false);
    expect(editor.difference).toBeNull();
  });
});

it("the whole image is complete until it is said not to be", async () => {
  render(RegionsPanel, { editor });
  const whole = screen.getByRole("checkbox", { name: "Whole image" });
  await fireEvent.click(whole);
  expect(editor.settled.doc.regions).toEqual([]);
  expect(editor.tool).toBe("region");
  expect(await screen.findByText(/Nothing is complete yet/)).toBeDefined();
  await fireEvent.click(whole);
  expect(editor.settled.doc.regions).toBeNull();
});

it("the map is hidden while the whole image is in sight, and a click on it moves the view", async () => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  vi.stubGlobal("ImageData", vi.fn());
  HTMLElement.prototype.setPointerCapture = (): void => undefined;
  render(Minimap, { editor });
  expect(screen.queryByRole("img")).toBeNull();
  editor.resize({ width: 100, height: 100 });
  const map = await screen.findByRole("img", { name: /Map/ });
  await fireEvent.pointerDown(map, { clientX: 1, clientY: 0.5, button: 0 });
  expect(editor.camera.centre.x).toBeCloseTo(1, 0);
});

it("keys are chosen and changed in the list of keys, and conflicts are said", async () => {
  render(KeysOverlay, { close: vi.fn() });
  await fireEvent.change(screen.getByLabelText("Like"), { target: { value: "napari" } });
  const brush = await screen.findByRole("button", { name: "Change the key of Brush: P" });
  await fireEvent.click(brush);
  await fireEvent.keyDown(brush, { key: "1" });
  expect(brush.textContent).toContain("not free");
  await fireEvent.keyDown(brush, { key: "e" });
  expect(keys.first("brush")).toBe("E");
  expect(await screen.findByText(/is on Brush and on Eraser/)).toBeDefined();
  await fireEvent.click(screen.getByRole("button", { name: "Reset to napari" }));
  expect(keys.first("brush")).toBe("P");
});

describe("flags", () => {
  const flag = {
    ...{ id: 4, image: 7, image_name: "mixed_b1_1.tif", author: "bob", note: "Debris?" },
    ...{ created_at: new Date().toISOString(), resolved_at: null, resolved_by: null },
  };
  let calls: Call[] = [];
  let results = [flag];

  beforeEach(() => {
    results = [flag];
    calls = stubFetch(({ method }) => {
      if (method === "POST") results = [];
      return json({ ...flag, next: null, results });
    });
  });

  it("are raised with a note", async () => {
    const close = vi.fn();
    const flags = new ImageFlags({ id: 7, name: "mixed_b1_1.tif" }, 1);
    render(FlagDialog, { flags, manages: false, close });
    const button = screen.getByRole<HTMLButtonElement>("button", { name: "Flag" });
    expect(button.disabled).toBe(true);
    await fireEvent.input(screen.getByRole("textbox"), { target: { value: " Debris? " } });
    await fireEvent.click(button);
    await waitFor(() => expect(close).toHaveBeenCalled());
    expect(calls[0]?.address).toContain("images/7/flags/");
    expect(calls[0]?.body).toBe(JSON.stringify({ note: "Debris?" }));
  });

  it("are listed on the data set's page, where managers resolve them", async () => {
    const { unmount } = render(FlagsPanel, { dataset: dataset({}, { role: "annotator" }) });
    const panel = await screen.findByRole("region", { name: "Flagged for review" });
    expect(within(panel).queryByRole("button")).toBeNull();
    unmount();
    render(FlagsPanel, { dataset: dataset({}, { role: "manager" }) });
    await fireEvent.click(await screen.findByRole("button", { name: /Resolve the flag/ }));
    await waitFor(() => expect(screen.queryByRole("region")).toBeNull());
  });
});
