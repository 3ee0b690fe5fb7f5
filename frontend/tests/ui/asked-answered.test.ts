// @vitest-environment jsdom
/** What is told to the gallery after a submit: no more than what was handed in answers. */
import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deleteCells } from "../../src/core/commands";
import { completeRegion, completeWhole } from "../../src/core/completeness";
import type { Box } from "../../src/core/geometry";
import { LabelImage } from "../../src/core/labelImage";
import { anyLabel, paintSpans } from "../../src/core/paint";
import { MOST_REGIONS } from "../../src/core/surroundings";
import { openedAbout } from "../../src/ui/editor/askedCell.svelte";
import type { Editor } from "../../src/ui/editor/editor.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import type { Mended } from "../../src/ui/mended";
import type { Asked } from "../../src/ui/router";
import { json } from "../api/stubs";
import { gridOfCells, picture } from "../core/drawing";
import { opened, predictedCell, revision } from "./opened";
import { FakeServer } from "./server";
import { begin, comeBack, endAll, forgetAll } from "./visits";

const ROWS = ["..........", ".11..22...", ".11..22.33", "..........", ".........."];
const PLACE: Asked = { place: { x: 2.5, y: 4.5 } };
const addresses = (...cells: number[]) =>
  cells.map((cell) => `/images/7?cell=${cell}&prediction=3`);
let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
});
afterEach(async () => {
  await endAll();
  await forgetAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function image(over: Partial<Opened> = {}): Opened {
  const raster = { width: 10, height: 5, channels: [new Uint16Array(50)] };
  const doc = picture(ROWS);
  const predicted = [predictedCell(1, [1, 1, 3, 3]), predictedCell(2, [5, 1, 7, 3])];
  const prediction = { id: 3, cells: [], diameter: 2 } as never;
  return opened({ raster, doc, model: doc, predicted, prediction, ...over });
}
function draw(editor: Editor, y: number, x0: number, x1: number): void {
  const { doc } = editor.state;
  const steps = [paintSpans(doc.labels, [{ y, x0, x1 }], 9, anyLabel)];
  editor.dispatch({ kind: "edit", name: "Draw", steps });
}
const holds = (regions: readonly Box[] | null | undefined, x: number, y: number): boolean =>
  regions?.some((box) => box.x0 <= x && x < box.x1 && box.y0 <= y && y < box.y1) ?? false;

async function told(
  asked: Asked,
  edit: (editor: Editor) => void,
  of = image(),
): Promise<Mended | null> {
  const { editor, work } = begin(openedAbout(of, asked, null));
  edit(editor);
  server.answers = [json(revision(1), 201)];
  expect(await work.submit()).toBe(true);
  return editor.askedCell.takeAnswered();
}

describe("what is answered by a submit", () => {
  it("is the cell asked about and others that lie in what is complete, each told once", async () => {
    const one = await told({ cell: 1, prediction: 3 }, () => undefined);
    expect(one?.addresses).toEqual(addresses(1));
    const both = await told({ cell: 1, prediction: 3 }, (editor) => {
      editor.run(deleteCells(new Set([2])));
    });
    expect(both?.addresses).toEqual(addresses(1, 2));
  });

  it("is nothing of a cell that nobody can tell any more, but where all is complete", async () => {
    const lost: Asked = { cell: 1, prediction: 2 };
    const part = await told(lost, (editor) => editor.run(deleteCells(new Set([2]))));
    expect(part?.addresses).toEqual(addresses(2));
    const whole = await told(lost, (editor) => editor.run(completeWhole(true)));
    expect(whole).toMatchObject({ image: 7, regions: null });
  });

  it("is not a cell of which a region holds a corner only", async () => {
    const gone = picture(ROWS.map((row) => row.replaceAll("1", ".")));
    const some = await told(
      { cell: 1, prediction: 3 },
      (editor) => editor.run(completeRegion({ x0: 0, y0: 0, x1: 2, y1: 2 })),
      image({ doc: gone }),
    );
    expect(some?.addresses).toEqual([]);
  });

  it("is a place by its point where a cell was drawn at it, be it beside the point", async () => {
    const of = image({ prediction: { id: 3, cells: [], diameter: 8 } as never });
    const beside = await told(
      PLACE,
      (editor) => {
        draw(editor, 4, 6, 7);
      },
      of,
    );
    expect([holds(beside?.regions, 2, 4), holds(beside?.regions, 1, 4)]).toEqual([true, false]);
  });

  it("is no place where a cell was drawn elsewhere", async () => {
    const elsewhere = await told(PLACE, (editor) => {
      draw(editor, 0, 8, 10);
    });
    expect([holds(elsewhere?.regions, 2, 4), holds(elsewhere?.regions, 8, 0)]).toEqual([
      false,
      true,
    ]);
  });

  it("is told once, and nothing where the image was opened for no question", async () => {
    const { editor, work } = begin(image());
    editor.run(deleteCells(new Set([2])));
    server.answers = [json(revision(1), 201)];
    expect(await work.submit()).toBe(true);
    expect(editor.askedCell.takeAnswered()).toBeNull();
  });
});

it("an image with as many regions as it may have is not handed in with a cell left out", async () => {
  const regions = Array.from({ length: MOST_REGIONS }, () => ({ x0: 9, y0: 4, x1: 10, y1: 5 }));
  const of = image({ doc: { ...picture(ROWS), regions } });
  const head = { annotation: { ...revision(1), complete_regions: [] }, etag: '"1"' } as never;
  const { editor, work } = begin(openedAbout({ ...of, head }, { cell: 1, prediction: 3 }, null));
  editor.run(deleteCells(new Set([1])));
  expect(await work.submit()).toBe(false);
  expect(server.asked).toEqual([]);
  expect(work.trouble).toMatchObject({ kind: "failed" });
  expect(work.trouble?.message).toContain("as many complete regions as it may have");
});

it("after a draft was restored a stroke compares only what was touched since", async () => {
  const doc = gridOfCells(256, 4);
  const raster = { width: 256, height: 256, channels: [new Uint16Array(256 * 256)] };
  const of = openedAbout(image({ raster, doc, model: doc, predicted: [] }), PLACE, null);
  const first = begin(of);
  first.editor.run(deleteCells(new Set([1])));
  first.work.keep();
  await first.work.draftNow();
  await first.work.recorder.handOver();
  // Read from the server anew.
  const fresh = gridOfCells(256, 4);
  const { editor, work } = await comeBack({ ...of, doc: { ...fresh, regions: [] } });
  await work.restore();
  editor.run(deleteCells(new Set([2])));
  const read = vi.spyOn(LabelImage.prototype, "read");
  expect([...editor.askedCell.checked].sort()).toEqual([1, 2]);
  const pixels = read.mock.calls.reduce(
    (sum, [box]) => sum + (box.x1 - box.x0) * (box.y1 - box.y0),
    0,
  );
  expect(pixels).toBeLessThan((256 * 256) / 2);
});
