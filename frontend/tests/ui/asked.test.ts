// @vitest-environment jsdom
/** Work on a region: what is complete, what tools may change, what is reviewed and handed in. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { QueueItem } from "../../src/api/types";
import { assignType, deleteCells, undo } from "../../src/core/commands";
import { completeWhole, reopenBox } from "../../src/core/completeness";
import type { Evidence } from "../../src/core/evidence";
import type { Box } from "../../src/core/geometry";
import { toScreen } from "../../src/render/camera";
import AskedPanel from "../../src/ui/editor/AskedPanel.svelte";
import { openedFor } from "../../src/ui/editor/asked.svelte";
import { untypedCells } from "../../src/ui/editor/doubts.svelte";
import { Editor } from "../../src/ui/editor/editor.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import RegionsPanel from "../../src/ui/editor/RegionsPanel.svelte";
import ReviewBar from "../../src/ui/editor/ReviewBar.svelte";
import { ThresholdPreview } from "../../src/ui/editor/thresholds.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import type { PointerInput } from "../../src/tools/tool";
import { json, stubFetch } from "../api/stubs";
import { picture, rowsOf } from "../core/drawing";
import { item, opened, revision } from "./opened";
import { FakeServer } from "./server";
import { begin, comeBack, endAll, erase, forgetAll, workOn } from "./visits";

// The region asked about is the right half: 1 and 2 lie outside, 3 reaches into it.
const ROWS = ["11.2233.44", "11.2233.44", ".........."];
const REGION: [number, number, number, number] = [5, 0, 10, 3];
const BOX: Box = { x0: 5, y0: 0, x1: 10, y1: 3 };
const asking: QueueItem = { ...item, region: REGION, minutes: 2.6 } as QueueItem;

const doubtful = (uncertainty: number): Evidence => ({
  ...{ score: 1, probabilities: {}, terms: {}, seenBy: "both" },
  uncertainty,
});
const evidence = new Map([
  [1, doubtful(0.9)],
  [2, doubtful(0.8)],
  [3, doubtful(0.7)],
  [4, doubtful(0.6)],
]);

function image(over: Partial<Opened> = {}): Opened {
  const raster = { width: 10, height: 3, channels: [new Uint16Array(30)] };
  const types = [1, 2, 3, 4].map((label) => [label, { type: "HEK", source: "model" }] as const);
  const doc = picture(ROWS, types as never);
  return opened({ raster, doc, evidence, model: doc, ...over } as Partial<Opened>);
}
const PART: Box = { x0: 0, y0: 0, x1: 3, y1: 3 };
/** Somebody has answered for its left. */
function partly(): Opened {
  const doc = { ...image().doc, regions: [PART] };
  const head = { annotation: { ...revision(2), complete_regions: [[0, 0, 3, 3]] }, etag: '"2"' };
  return image({ doc, head } as unknown as Partial<Opened>);
}
const edit = (over: Partial<Opened> = {}): Editor => {
  const editor = new Editor(openedFor(image(over), asking), false);
  editor.resize({ width: 500, height: 300 });
  return editor;
};
const rows = (editor: Editor): string[] => rowsOf(editor.state.doc);
const pointer = (x: number, y: number): PointerInput => ({
  at: { x, y },
  screen: { x: 10 * x, y: 10 * y },
  ...{ shift: false, alt: false, pressure: 0.5, pen: false },
});
function stroke(editor: Editor, tool: "brush" | "eraser", ...points: [number, number][]): void {
  editor.dispatch({ kind: "set", options: { diameter: 1 } });
  const { [tool]: hand } = editor.tools;
  points.forEach(([x, y], at) => {
    if (at === 0) hand.pointerDown(editor.context, pointer(x, y));
    else hand.pointerMove(editor.context, pointer(x, y));
  });
  hand.pointerUp(editor.context, pointer(...(points.at(-1) as [number, number])));
}

beforeEach(() => {
  toasts.length = 0;
  sessionStorage.clear();
});

describe("an image opened for a region", () => {
  it("has it complete, beside what was complete before", () => {
    expect(edit().state.doc.regions).toEqual([BOX]);
    const before = { x0: 0, y0: 0, x1: 3, y1: 3 };
    const doc = { ...image().doc, regions: [before] };
    const head = { annotation: { ...revision(2), complete_regions: [[0, 0, 3, 3]] }, etag: '"2"' };
    const again = edit({ doc, head } as unknown as Partial<Opened>);
    expect(again.state.doc.regions).toEqual([before, BOX]);
  });

  it("stays complete as a whole where somebody said so", () => {
    const head = { annotation: revision(2), etag: '"2"' } as unknown as Opened["head"];
    expect(edit({ head }).state.doc.regions).toBeNull();
  });

  it("shows the region, framed, and dims the rest", () => {
    const editor = edit();
    const { camera, view } = editor;
    const [left, right] = [5, 10].map((x) => toScreen(camera, view, { x, y: 0 }).x);
    expect(left).toBeGreaterThan(0);
    expect(right).toBeLessThan(500);
    expect((right as number) - (left as number)).toBeGreaterThan(300);
    expect(editor.backdrop[0]).toMatchObject({ kind: "dimmed", asked: BOX });
  });

  it("is as ever for an item of the whole image", () => {
    const whole = image();
    expect(openedFor(whole, { ...item, region: null } as QueueItem)).toBe(whole);
    expect(openedFor(whole, null)).toBe(whole);
  });

  it("is complete as a whole when the rest of it is asked about", () => {
    const part = partly();
    const whole = { ...item, region: null } as QueueItem;
    expect(openedFor(part, whole).doc.regions).toBeNull();
    // Opened from a list nobody asks for the rest.
    expect(openedFor(part, null).doc.regions).toEqual([PART]);
    expect(openedFor(part, whole, true).doc.regions).toEqual([PART]);
  });

  it("that is looked at shows the region, and what is complete as it is", () => {
    const seen = openedFor(partly(), asking, true);
    expect([seen.asked, seen.doc.regions]).toEqual([BOX, [PART]]);
    const editor = new Editor(seen, true);
    expect(editor.backdrop[0]).toMatchObject({ kind: "dimmed", asked: BOX });
    render(AskedPanel, { editor, item: asking });
    const panel = screen.getByRole("region", { name: "Region asked about" });
    expect(panel.textContent).toContain("The queue asks for every cell in the frame.");
    expect(panel.textContent).not.toContain("submitting");
  });
});

describe("tools", () => {
  it("change nothing outside, and say so once", () => {
    const editor = edit();
    stroke(editor, "brush", [0.5, 2.5], [3.5, 2.5]);
    stroke(editor, "eraser", [0.5, 0.5], [1.5, 1.5]);
    editor.run(deleteCells(new Set([1, 2])));
    editor.run(assignType([1], "N2a"));
    expect(rows(editor)).toEqual(ROWS);
    expect(editor.state.doc.meta.get(1)?.type).toBe("HEK");
    expect(editor.can(undo)).toBe(false);
    expect(toasts.map(({ text }) => text)).toEqual([expect.stringContaining("Outside the region")]);
  });

  it("draw from the region outwards, and cells that reach into it are whole", () => {
    const editor = edit();
    stroke(editor, "brush", [8.5, 2.5], [3.5, 2.5]);
    expect(rows(editor)[2]).toBe("...555555.");
    editor.run(deleteCells(new Set([3])));
    expect(rows(editor)[0]).toBe("11.22...44");
    expect(toasts).toEqual([]);
    editor.undo();
    editor.undo();
    expect(rows(editor)).toEqual(ROWS);
  });

  it("may go everywhere once they are let out", async () => {
    const editor = edit();
    render(AskedPanel, { editor, item: asking });
    await fireEvent.click(screen.getByRole("checkbox", { name: "Keep to the region" }));
    editor.run(deleteCells(new Set([1])));
    expect(rows(editor)[0]).toBe("...2233.44");
  });
});

describe("review", () => {
  it("goes through the region's cells alone", async () => {
    const editor = edit();
    render(ReviewBar, { editor });
    editor.reviewing.walk(1);
    const bar = await screen.findByRole("region", { name: "Review" });
    expect(bar.textContent).toContain("Reviewing 1 of 2 cells in this region");
    expect(editor.reviewing.subject?.label).toBe(3);
    editor.reviewing.decide({ kind: "accept" });
    expect(editor.reviewing.subject?.label).toBe(4);
    editor.reviewing.decide({ kind: "accept" });
    expect(editor.reviewing.finished).toBe(true);
    expect(editor.state.doc.meta.get(3)).toEqual({ type: "HEK", source: "human" });
    expect(editor.state.doc.meta.get(1)).toEqual({ type: "HEK", source: "model" });
    await vi.waitFor(() => {
      expect(bar.textContent).toContain("Reviewed all 2 cells in this region");
    });
  });

  it("goes on outside when tools may and the region is done", () => {
    const editor = edit();
    editor.asked.keeps = false;
    editor.reviewing.walk(1);
    editor.reviewing.decide({ kind: "accept" });
    editor.reviewing.decide({ kind: "accept" });
    editor.reviewing.leave();
    editor.reviewing.walk(1);
    expect([editor.reviewing.within, editor.reviewing.subject?.label]).toEqual([false, 1]);
  });
});

it("the panel counts the region's cells and gives its time and place", () => {
  const editor = edit();
  render(AskedPanel, { editor, item: asking });
  const panel = screen.getByRole("region", { name: "Region asked about" });
  expect(panel.textContent).toContain("2 cells in this region · about 3 min");
  expect(panel.textContent).toContain("5 × 3 px at 5, 0");
  editor.fitImage();
  const { camera } = editor;
  screen.getByRole("button", { name: "Show it" }).click();
  expect(editor.camera.scale).toBeGreaterThan(camera.scale);
});

it("the panel says that cells which reach over the frame change as wholes", async () => {
  const cut = { ...asking, region: [6, 0, 10, 3] } as QueueItem;
  const editor = new Editor(openedFor(image(), cut), false);
  render(AskedPanel, { editor, item: cut });
  const panel = screen.getByRole("region", { name: "Region asked about" });
  const said = (): string => panel.textContent.replace(/\s+/g, " ");
  expect(said()).toContain("1 cell reaches over the frame: draw and delete it whole");
  editor.run(deleteCells(new Set([3])));
  expect(rows(editor)[0]).toBe("11.22...44");
  await vi.waitFor(() => {
    expect(said()).not.toContain("over the frame");
  });
});

it("other thresholds change the region's cells alone, in the preview too", async () => {
  const headers = { "X-Shape": "3,10", "X-Dtype": "uint16" };
  stubFetch(() => new Response(new Uint16Array(30).buffer, { headers }));
  const editor = edit();
  const preview = new ThresholdPreview(editor);
  preview.set({ minSize: 100 });
  await vi.waitFor(() => {
    expect(preview.shown).toBe(true);
  });
  const left = ["11.22.....", "11.22.....", ".........."];
  expect(rowsOf(editor.shown.doc)).toEqual(left);
  render(AskedPanel, { editor, item: asking });
  // Not while what is shown depends on it.
  const keeps = screen.getByRole<HTMLInputElement>("checkbox", { name: "Keep to the region" });
  expect(keeps.disabled).toBe(true);
  preview.apply();
  expect(rows(editor)).toEqual(left);
  vi.unstubAllGlobals();
});

it("the region cannot be unmarked in the list of complete regions", () => {
  render(RegionsPanel, { editor: edit() });
  expect(screen.getByText("asked about")).toBeDefined();
  expect(screen.queryByRole("button", { name: /^Unmark/ })).toBeNull();
});

describe("the list of what is complete", () => {
  it("asks for the rest of an image that is complete in parts, and takes it", async () => {
    const editor = new Editor(partly(), false);
    render(RegionsPanel, { editor });
    const panel = screen.getByRole("region", { name: "Complete" });
    expect(panel.textContent).toContain("Are all cells of the rest marked too?");
    const whole = screen.getByRole<HTMLInputElement>("checkbox", { name: "Whole image" });
    await fireEvent.click(whole);
    expect(editor.state.doc.regions).toBeNull();
    expect(panel.textContent.replaceAll("\u00a0", " ")).toContain(
      "When it was opened, 30 % of the image was complete.",
    );
    // What was complete before is not lost on the way.
    await fireEvent.click(whole);
    expect(editor.state.doc.regions).toEqual([PART]);
  });

  it("is short where each cell of a gallery is a region", async () => {
    const regions = Array.from({ length: 9 }, (_, x0) => ({ x0, y0: 0, x1: x0 + 1, y1: 1 }));
    const part = partly();
    const editor = new Editor({ ...part, doc: { ...part.doc, regions } }, false);
    render(RegionsPanel, { editor });
    expect(screen.getAllByRole("listitem")).toHaveLength(6);
    await fireEvent.click(screen.getByRole("button", { name: "Show all 9" }));
    expect(screen.getAllByRole("listitem")).toHaveLength(9);
  });
});

it("cells without a type are asked about where they lie in the region", () => {
  const editor = edit({ doc: picture(ROWS) });
  expect(untypedCells(editor)).toEqual([3, 4]);
});

describe("handing in", () => {
  let server: FakeServer;
  beforeEach(async () => {
    await forgetAll();
    server = new FakeServer();
  });
  afterEach(async () => {
    await endAll();
    vi.unstubAllGlobals();
  });

  async function sent(change: (editor: Editor) => void, over: Partial<Opened> = {}) {
    const editor = edit(over);
    const work = workOn(editor, true);
    change(editor);
    server.answers = [json({ annotation: revision(1), item: {} }, 201)];
    expect(await work.submit()).toBe(true);
    expect(server.asked.at(-1)?.path).toBe("/api/v1/queue/12/submit/");
    const document: unknown = JSON.parse(server.asked.at(-1)?.form.get("document") as string);
    return (document as { complete_regions: unknown }).complete_regions;
  }

  it("marks the region complete", async () => {
    expect(await sent(() => undefined)).toEqual([REGION]);
  });

  it("marks it complete whatever was unmarked", async () => {
    const holed = await sent((editor) => {
      editor.run(reopenBox({ x0: 6, y0: 0, x1: 8, y1: 3 }));
    });
    expect(holed).toEqual([REGION]);
  });

  it("says of the whole image that it is complete only as a box", async () => {
    const whole = await sent((editor) => {
      editor.run(completeWhole(true));
    });
    expect(whole).toEqual([[0, 0, 10, 3]]);
  });

  it("leaves an image complete as a whole that was", async () => {
    const head = { annotation: revision(2), etag: '"2"' } as unknown as Opened["head"];
    expect(await sent(() => undefined, { head })).toBeNull();
  });

  it("of work that was begun before the region was asked for does not claim the image", async () => {
    const { editor: before, work } = begin(image());
    erase(before, 4);
    await work.draftNow();
    await endAll();
    const { editor, work: later } = await comeBack(openedFor(image(), asking));
    await later.restore();
    expect(rows(editor)[0]).toBe("11.2233...");
    expect(editor.state.doc.regions).toEqual([BOX]);
  });
});
