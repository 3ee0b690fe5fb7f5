// @vitest-environment jsdom
/** A cell drawn by E while somebody else saved: whose cells the merge takes, and what is checked. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen, waitFor } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { assignType, deleteCells } from "../../src/core/commands";
import { cellsOf, type MaskDocument } from "../../src/core/document";
import type { Box } from "../../src/core/geometry";
import { disagreements } from "../../src/core/merge";
import { openedAbout } from "../../src/ui/editor/askedCell.svelte";
import MergeView from "../../src/ui/editor/MergeView.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import type { Theirs } from "../../src/ui/editor/theirs";
import { json } from "../api/stubs";
import { picture } from "../core/drawing";
import { stubDialogs } from "./dialogs";
import { opened, predictedCell, revision } from "./opened";
import { FakeServer } from "./server";
import { begin, endAll, forgetAll } from "./visits";

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

const ROWS = [
  "..............",
  ".11..22...33..",
  ".11..22...33..",
  "..............",
  "..............",
];
const DONE: Box = { x0: 4, y0: 0, x1: 8, y1: 4 };
let server: FakeServer;

beforeEach(() => {
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  server = new FakeServer();
});
afterEach(async () => {
  await endAll();
  await forgetAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const drawn = (rows: string[]): MaskDocument =>
  picture(
    rows,
    [...Array(9).keys()].map((label) => [label, { type: "HEK", source: "model" }]),
  );
function image(): Opened {
  const raster = { width: 14, height: 5, channels: [new Uint16Array(70)] };
  const doc = drawn(ROWS);
  const predicted = [predictedCell(1, [1, 1, 3, 3]), predictedCell(2, [5, 1, 7, 3])];
  return opened({ raster, doc, model: doc, predicted });
}
const theirs = (rows: string[], regions: Theirs["doc"]["regions"] = [DONE]): Theirs =>
  ({
    head: { annotation: { ...revision(4), author: "bob" }, etag: '"4"' },
    doc: { ...drawn(rows), regions },
  }) as unknown as Theirs;
const onCell = (label: number) => begin(openedAbout(image(), { cell: label, prediction: 3 }, null));
const placesOf = (doc: MaskDocument): string[] =>
  [...cellsOf(doc)].map(({ box: { x0, y0 } }) => `${x0} ${y0}`).sort();

/** What the merge view gives, once it is submitted; `choose`: a button pressed before. */
async function merge(of: ReturnType<typeof begin>, with_: Theirs, choose?: string) {
  server.answers = [json(revision(5), 201)];
  const submitted = vi.fn();
  render(MergeView, { ...of, theirs: with_, submitted, notYet: vi.fn(), close: vi.fn() });
  if (choose) await fireEvent.click(screen.getByRole("button", { name: choose }));
  await fireEvent.click(screen.getByRole("button", { name: "Submit the result" }));
  await waitFor(() => {
    expect(submitted).toHaveBeenCalled();
  });
  return of.editor.state.doc;
}

describe("a merge in the editor of an asked cell", () => {
  it("leaves out what somebody rejected meanwhile: it was not changed here", async () => {
    const rejected = theirs(ROWS.map((row) => row.replaceAll("2", ".")));
    const visit = onCell(1);
    visit.editor.run(assignType([1], "N2a"));
    expect(placesOf(await merge(visit, rejected))).toEqual(["1 1", "10 1"]);
    expect([...visit.editor.askedCell.checked]).toEqual([1]);
  });

  it("checks only what was changed here, though all of the old model's is kept", async () => {
    // Every cell is another: the image was predicted again, and cell 7 was answered for.
    const again = ["..............", "..77..88...99.", "..77..88...99.", "..77..88...99.", ROWS[4]];
    const visit = onCell(1);
    visit.editor.run(assignType([1], "N2a"));
    const done = { x0: 11, y0: 0, x1: 14, y1: 5 };
    const doc = await merge(visit, theirs(again as string[], [done]), "Keep all mine");
    expect(placesOf(doc)).toEqual(["1 1", "10 1", "5 1"]);
    expect([...visit.editor.askedCell.checked]).toEqual([1]);
  });

  it("takes the new model's cells but for those changed here, and checks none of them", async () => {
    const again = ["..............", "......88...99.", ".77...88...99.", ".77...88...99.", ROWS[4]];
    const visit = onCell(1);
    visit.editor.run(assignType([1], "N2a"));
    const doc = await merge(visit, theirs(again as string[], []));
    expect(placesOf(doc)).toEqual(["1 1", "11 1", "6 1"]);
    expect([...visit.editor.askedCell.checked]).toEqual([1]);
    // Whoever then draws on one of theirs has checked it.
    const label = doc.labels.at(6, 1);
    visit.editor.run(assignType([label], "N2a"));
    expect([...visit.editor.askedCell.checked].sort()).toEqual([1, label].sort());
  });

  it("does not bring back what was deleted here", async () => {
    const visit = onCell(1);
    visit.editor.run(deleteCells(new Set([3])));
    expect(placesOf(await merge(visit, theirs(ROWS)))).toEqual(["1 1", "5 1"]);
    expect([...visit.editor.askedCell.checked].sort()).toEqual([1, 3]);
  });

  it("is taken back by undo: then it is what was changed here again", async () => {
    const visit = onCell(1);
    visit.editor.run(assignType([1], "N2a"));
    await merge(visit, theirs(ROWS.map((row) => row.replaceAll("2", "."))));
    visit.editor.undo();
    expect(placesOf(visit.editor.state.doc)).toEqual(["1 1", "10 1", "5 1"]);
    expect([...visit.editor.askedCell.checked]).toEqual([1]);
  });

  it("begins with mine everywhere where the whole image is handed in", () => {
    const { editor, work } = begin(image());
    const found = disagreements(
      editor.state.doc,
      theirs(ROWS.slice(0, 1).concat(Array(4).fill(ROWS[0]))).doc,
    );
    expect([found.length, editor.askedCell.leftToThem(work.image as never, found)]).toEqual([
      3,
      [],
    ]);
  });

  it("confirms the cell though nothing else is to be handed in", async () => {
    const visit = onCell(2);
    const same = { ...theirs(ROWS), doc: { ...visit.editor.state.doc } };
    server.answers = [json(revision(5), 201)];
    expect(await visit.work.submitMerged(same, [])).toBe(true);
    expect(server.asked).toHaveLength(1);
    expect(visit.editor.askedCell.takeAnswered()?.addresses).toEqual([
      "/images/7?cell=2&prediction=3",
    ]);
  });
});
