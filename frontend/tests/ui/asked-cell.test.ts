// @vitest-environment jsdom
/** An image opened to draw one cell of it: what is shown and said, and what is handed in. */
import "fake-indexeddb/auto";
import { render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { QueueItem } from "../../src/api/types";
import { assignType, deleteCells } from "../../src/core/commands";
import { completeRegion, completeWhole } from "../../src/core/completeness";
import { disagreements } from "../../src/core/merge";
import type { Box } from "../../src/core/geometry";
import { toScreen } from "../../src/render/camera";
import { openedAbout } from "../../src/ui/editor/askedCell.svelte";
import AskedCellPanel from "../../src/ui/editor/AskedCellPanel.svelte";
import { Doubts } from "../../src/ui/editor/doubts.svelte";
import { Editor } from "../../src/ui/editor/editor.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import RegionsPanel from "../../src/ui/editor/RegionsPanel.svelte";
import type { Asked } from "../../src/ui/router";
import { json } from "../api/stubs";
import { picture } from "../core/drawing";
import { item, opened, predictedCell, revision } from "./opened";
import { nothingNew } from "../../src/ui/editor/saved";
import { FakeServer } from "./server";
import { begin, comeBack, endAll, forgetAll, workOn } from "./visits";

const ROWS = ["..........", ".11..22...", ".11..22.33", "..........", ".........."];
const CELL: Asked = { cell: 2, prediction: 3 };
const PLACE: Asked = { place: { x: 2, y: 4 } };
const DONE: Box = { x0: 8, y0: 1, x1: 10, y1: 4 };

function image(over: Partial<Opened> = {}): Opened {
  const raster = { width: 10, height: 5, channels: [new Uint16Array(50)] };
  const types = [1, 2, 3].map((label) => [label, { type: "HEK", source: "model" }] as const);
  const doc = picture(ROWS, types as never);
  const predicted = [predictedCell(1, [1, 1, 3, 3]), predictedCell(2, [5, 1, 7, 3])];
  return opened({ raster, doc, model: doc, predicted, ...over });
}
/** Somebody has answered for its cell 3. */
function partly(): Opened {
  const doc = { ...image().doc, regions: [DONE] };
  const head = { annotation: { ...revision(2), complete_regions: [[8, 1, 10, 4]] }, etag: '"2"' };
  return image({ doc, head } as unknown as Partial<Opened>);
}
function edit(asked: Asked = CELL, of: Opened = image()): Editor {
  const editor = new Editor(openedAbout(of, asked, null), false);
  editor.resize({ width: 500, height: 300 });
  return editor;
}
const holds = (boxes: readonly Box[] | null, x: number, y: number): boolean =>
  boxes?.some(({ x0, y0, x1, y1 }) => x0 <= x && x < x1 && y0 <= y && y < y1) ?? false;

describe("an image opened for a cell", () => {
  it("shows it, selected and framed, with its neighbours", () => {
    const editor = edit();
    expect([...editor.state.selection]).toEqual([2]);
    const { camera, view } = editor;
    const [left, right] = [5, 7].map((x) => toScreen(camera, view, { x, y: 0 }).x) as number[];
    expect((right as number) - (left as number)).toBeGreaterThan(80);
    expect(editor.backdrop).toEqual([{ kind: "corners", box: { x0: 2, y0: -2, x1: 10, y1: 6 } }]);
  });

  it("is complete nowhere, or where it was", () => {
    expect(edit().state.doc.regions).toEqual([]);
    expect(edit(CELL, partly()).state.doc.regions).toEqual([DONE]);
  });

  it("stays complete as a whole where somebody said so", () => {
    const head = { annotation: revision(2), etag: '"2"' } as unknown as Opened["head"];
    const editor = edit(CELL, image({ head }));
    expect(editor.state.doc.regions).toBeNull();
    expect(editor.askedCell.toSend(editor.state.doc)).toEqual({ regions: null, inPassing: false });
  });

  it("is handed in as the queue asks by whoever has it from there", () => {
    const about = openedAbout(image(), CELL, item as unknown as QueueItem);
    expect([about.doc.regions, about.about?.partly]).toEqual([null, false]);
  });

  it("finds the cell by its place where it got another number", () => {
    const rows = ROWS.map((row) => row.replaceAll("2", "7"));
    const editor = edit(CELL, image({ doc: picture(rows) }));
    expect([...editor.state.selection]).toEqual([7]);
    expect(editor.askedCell.words).toBe("cell 7");
  });

  it("says so where the image was predicted again, and shows it as ever", () => {
    const editor = edit({ cell: 2, prediction: 2 });
    expect([editor.askedCell.about?.box, editor.state.selection.size]).toEqual([null, 0]);
    expect(editor.backdrop).toEqual([]);
    render(AskedCellPanel, { editor, work: workOn(editor) });
    expect(screen.getByRole("region", { name: "Asked about" }).textContent).toContain(
      "predicted again",
    );
  });

  it("for a place shows and frames that", () => {
    const editor = edit(PLACE, image({ prediction: { id: 3, cells: [], diameter: 2 } as never }));
    expect(editor.state.selection.size).toBe(0);
    expect(editor.backdrop).toEqual([{ kind: "corners", box: { x0: -2, y0: 0, x1: 6, y1: 8 } }]);
    expect(editor.askedCell.words).toBe("a place where a cell may be missing");
  });
});

describe("what is complete with it", () => {
  it("is what surrounds it and what was changed, beside what was complete", () => {
    const editor = edit(CELL, partly());
    editor.run(deleteCells(new Set([1])));
    const found = editor.askedCell.toSend(editor.state.doc).regions;
    expect(found?.[0]).toEqual(DONE);
    expect([holds(found, 5, 1), holds(found, 1, 1), holds(found, 4, 0)]).toEqual([
      true,
      true,
      true,
    ]);
    expect([holds(found, 9, 0), holds(found, 9, 4)]).toEqual([false, false]);
  });

  it("is also a cell whose type alone was changed, and not a cell that was put back", () => {
    const editor = edit();
    editor.run(assignType([1], "N2a"));
    expect([...editor.askedCell.checked].sort()).toEqual([1, 2]);
    editor.undo();
    expect([...editor.askedCell.checked]).toEqual([2]);
  });

  it("is all of the image where somebody says so, and a region that is drawn", () => {
    const editor = edit();
    const region = { x0: 0, y0: 0, x1: 4, y1: 5 };
    editor.run(completeRegion(region));
    expect(editor.backdrop[0]).toEqual({ kind: "box", box: region, tone: "add" });
    expect(editor.askedCell.toSend(editor.state.doc).regions?.[0]).toEqual(region);
    editor.run(completeWhole(true));
    expect(editor.askedCell.toSend(editor.state.doc)).toEqual({ regions: null, inPassing: false });
    render(AskedCellPanel, { editor, work: workOn(editor) });
    expect(screen.getByText(/Whole image is on/)).toBeDefined();
  });
});

describe("handing it in", () => {
  let server: FakeServer;
  beforeEach(() => {
    server = new FakeServer();
  });
  afterEach(async () => {
    await endAll();
    await forgetAll();
    vi.unstubAllGlobals();
  });
  const written = (number: number) => json({ ...revision(number) }, 201);
  const said = (): { complete_regions: number[][]; in_passing?: boolean } =>
    JSON.parse(server.asked.at(-1)?.form.get("document") as string) as never;

  it("asks no question about the rest, and sends what surrounds the cells", async () => {
    const { editor, work } = begin(openedAbout(image(), CELL, null));
    const handIn = vi.fn();
    const doubts = new Doubts(editor, handIn);
    editor.run(deleteCells(new Set([1])));
    doubts.submit();
    expect([doubts.asking, handIn.mock.calls.length]).toEqual([null, 1]);
    server.answers = [written(1)];
    expect(await work.submit()).toBe(true);
    const { complete_regions, in_passing } = said();
    expect(in_passing).toBe(true);
    expect(complete_regions.length).toBeGreaterThan(0);
    expect(complete_regions.every(([, , x1]) => (x1 as number) <= 9)).toBe(true);
    expect(work.nothingNew).toBe(true);
  });

  it("says of a cell that is well drawn that it is, but nothing of a place", async () => {
    const { work } = begin(openedAbout(partly(), CELL, null));
    expect(work.nothingNew).toBe(false);
    server.answers = [written(3)];
    expect(await work.submit()).toBe(true);
    expect(said().complete_regions[0]).toEqual([8, 1, 10, 4]);
    const place = begin(openedAbout(image(), PLACE, null));
    expect([place.work.nothingNew, nothingNew(place.work.revision)]).toEqual([
      true,
      "Nothing changed yet.",
    ]);
  });

  it("after a merge tells what was changed since it was opened, not what is other in theirs", async () => {
    const { editor, work } = begin(openedAbout(image(), CELL, null));
    editor.run(deleteCells(new Set([1])));
    // Their cell 2 has another number, which tells nothing.
    const rows = ROWS.map((row) => row.replaceAll("3", ".").replaceAll("2", "7"));
    const doc = { ...picture(rows), regions: [DONE] };
    const head = { annotation: revision(4), etag: '"4"' };
    server.answers = [written(5)];
    // Cell 3 is taken away as they did: that was theirs to check.
    const taken = disagreements(editor.state.doc, doc).filter(({ mine }) => mine === 3);
    expect(await work.submitMerged({ head, doc } as never, taken)).toBe(true);
    const { complete_regions } = said();
    expect(complete_regions[0]).toEqual([8, 1, 10, 4]);
    expect([...editor.askedCell.checked].sort()).toEqual([1, 2]);
  });

  it("is as ever where Whole image is switched on", async () => {
    const { editor, work } = begin(openedAbout(image(), CELL, null));
    editor.run(completeWhole(true));
    server.answers = [written(1)];
    expect(await work.submit()).toBe(true);
    expect(said()).toMatchObject({ complete_regions: null });
    expect(said().in_passing).toBeUndefined();
  });

  it("means the cell also where a draft meant the whole image", async () => {
    const first = begin(image());
    first.editor.run(deleteCells(new Set([1])));
    first.work.keep();
    await first.work.draftNow();
    await first.work.recorder.handOver();
    const { editor, work } = await comeBack(openedAbout(image(), CELL, null));
    await work.restore();
    expect(editor.state.doc.geometry.get(1)).toBeUndefined();
    expect(editor.state.doc.regions).toEqual([]);
  });
});

it("the panels say what submitting means", () => {
  const editor = edit(CELL, partly());
  render(AskedCellPanel, { editor, work: workOn(editor) });
  const panel = screen.getByRole("region", { name: "Asked about" });
  expect(panel.textContent).toContain("Cell 2. Redraw it, check its type and submit");
  expect(panel.textContent).toContain("the rest of the image stays open");
  render(RegionsPanel, { editor });
  expect(screen.getByText(/Submitting adds what you changed/)).toBeDefined();
});
