/** The tools that split, type and add cells, driven the way the view drives them. */
import { describe, expect, it } from "vitest";
import { undo } from "../../src/core/commands";
import { cellOf, cellsOf } from "../../src/core/document";
import type { Point, Span } from "../../src/core/geometry";
import { diskSpans } from "../../src/core/raster";
import { referenceOf } from "../../src/core/reference";
import { transact } from "../../src/core/state";
import { Brush } from "../../src/tools/brush";
import { Eraser } from "../../src/tools/eraser";
import { Pick, PRESENT } from "../../src/tools/pick";
import { Select } from "../../src/tools/select";
import { NOT_CROSSED, Split } from "../../src/tools/split";
import type { Tool } from "../../src/tools/tool";
import { TypeBrush } from "../../src/tools/typeBrush";
import { Wand } from "../../src/tools/wand";
import { chance, gridOfCells, picture, rowsOf } from "../core/drawing";
import { Hand } from "./hand";

const blank = (width: number, height: number) =>
  picture(Array.from({ length: height }, () => ".".repeat(width)));

function undone(hand: Hand): Hand {
  undo(hand.state, (transaction) => {
    hand.state = transact(hand.state, transaction);
  });
  return hand;
}

const names = (hand: Hand): string[] => hand.state.history.done.map(({ name }) => name);

describe("split", () => {
  const bar = ["1111111111", "1111111111"];

  it("cuts along a drawn line, in one entry", () => {
    const hand = new Hand(new Split(), picture(bar, [[1, { type: "HEK", source: "model" }]]));
    hand.down(3.5, -1).move(3.5, 1).move(3.5, 3).up(3.5, 3);
    expect([...cellsOf(hand.state.doc)].map(({ area, type }) => [area, type])).toEqual([
      [12, "HEK"],
      [8, "HEK"],
    ]);
    expect(names(hand)).toEqual(["Split"]);
    expect(rowsOf(undone(hand).state.doc)).toEqual(bar);
  });

  it("warns of a sliver that a line through a corner cuts off", () => {
    const wide = new Array<string>(6).fill("1".repeat(20));
    const hand = new Hand(new Split(), picture(wide));
    hand.down(-1, 4).move(1.5, 1.5).move(4, -1).up(4, -1);
    const least = Math.min(...[...cellsOf(hand.state.doc)].map(({ area }) => area));
    expect(least).toBeLessThan(10);
    expect(hand.said).toEqual([`Only ${least} px² were cut off: undo it, or delete the sliver.`]);
  });

  it("warns of a small share of a large cell, and of no cell cut in two", () => {
    const large = new Array<string>(20).fill("1".repeat(100));
    const cut = (column: number): string[] => {
      const hand = new Hand(new Split(), picture(large));
      hand.down(column, -1).move(column, 10).move(column, 21).up(column, 21);
      return hand.said;
    };
    expect(cut(1)).toEqual(["Only 40 px² were cut off: undo it, or delete the sliver."]);
    expect(cut(50)).toEqual([]);
  });

  it("divides a cell among clicked seeds on Enter", () => {
    const hand = new Hand(new Split(), picture(bar)).click(1.5, 1).click(8.5, 1);
    expect(hand.tool.overlay(hand.state, null)).toHaveLength(2);
    expect(hand.key("Enter")).toBe(true);
    expect([...cellsOf(hand.state.doc)].map(({ area }) => area)).toEqual([10, 10]);
    expect(hand.tool.busy).toBe(false);
    expect(hand.key("Enter")).toBe(false);
  });

  it("divides on a second click on the last seed, and takes seeds back one by one", () => {
    const hand = new Hand(new Split(), picture(bar)).click(1.5, 1).click(4.5, 1).click(8.5, 1);
    expect(hand.key("Backspace")).toBe(true);
    hand.click(8.5, 1).click(8.6, 1);
    expect([...cellsOf(hand.state.doc)]).toHaveLength(3);
  });

  it("undo takes seeds back and redo sets them again, as long as there is one", () => {
    const tool = new Split();
    const hand = new Hand(tool, picture(bar)).click(1.5, 1).click(4.5, 1).click(8.5, 1);
    expect([tool.redoable, tool.undo(), tool.redoable]).toEqual([false, true, true]);
    expect([tool.undo(), tool.redo(), tool.redo(), tool.redoable]).toEqual([
      ...[true, true, true],
      false,
    ]);
    expect(tool.overlay()).toMatchObject([1.5, 4.5, 8.5].map((x) => ({ kind: "seed", at: { x } })));
    expect([tool.undo(), tool.undo(), tool.undo()]).toEqual([true, true, true]);
    expect([tool.busy, tool.undo(), tool.redo()]).toEqual([false, false, false]);
    expect(hand.state.history.done).toEqual([]);
  });

  it("says that it ended by itself: by a line and by a second click, not by Enter", () => {
    const hand = new Hand(new Split(), picture(bar)).click(1.5, 1).click(8.5, 1);
    hand.key("Enter");
    expect(hand.ended).toEqual([]);
    hand.click(1, 1).click(3, 1).click(3, 1);
    hand.down(8.5, -1).move(8.5, 3).up(8.5, 3);
    expect(hand.ended).toEqual(["The cell is split", "The cell is split"]);
  });

  it("keeps a single seed until there is another, and takes none on the background", () => {
    const hand = new Hand(new Split(), picture(["111.......", "111......."]));
    hand.click(1.5, 1).click(7.5, 1);
    expect(hand.key("Enter")).toBe(true);
    expect(hand.tool.overlay(hand.state, null)).toHaveLength(1);
    expect(hand.state.history.done).toEqual([]);
    hand.down(8, -1).move(8, 3).up(8, 3);
    expect(hand.tool.busy).toBe(true);
  });

  it("says when a line crosses no cell, and only then", () => {
    const hand = new Hand(new Split(), picture(bar));
    hand.down(5, -1).move(5, 0.5).up(5, 0.5);
    expect([hand.said, names(hand)]).toEqual([[NOT_CROSSED], []]);
    hand.down(5, -1).move(5, 9).up(5, 9);
    expect([hand.said, names(hand)]).toEqual([[NOT_CROSSED], ["Split"]]);
  });
});

describe("type brush", () => {
  const cells = picture(["11.22.33"], [[3, { type: "HEK", source: "human" }]]);

  it("types every cell the stroke touches, in one entry", () => {
    const hand = new Hand(new TypeBrush(), cells, { diameter: 1, paintType: "HEK" });
    hand.down(0.5, 0.5).move(2.5, 0.5).move(7.5, 0.5).up(7.5, 0.5);
    expect([...cellsOf(hand.state.doc)].map(({ type, source }) => [type, source])).toEqual([
      ["HEK", "human"],
      ["HEK", "human"],
      ["HEK", "human"],
    ]);
    expect(names(hand)).toEqual(["Type HEK"]);
    expect(cellOf(undone(hand).state.doc, 1)?.type).toBeNull();
  });

  it("shows its type at its ring", () => {
    const hand = new Hand(new TypeBrush(), cells, { diameter: 4, paintType: "HEK" });
    expect(hand.tool.overlay(hand.state, { x: 1, y: 0 })).toMatchObject([
      { kind: "ring", radius: 2, type: "HEK" },
    ]);
  });

  it("without a type clears types, and over the background does nothing", () => {
    const hand = new Hand(new TypeBrush(), cells, { diameter: 1 });
    hand.down(2.5, 0.5).up(2.5, 0.5);
    expect(hand.state.history.done).toEqual([]);
    hand.down(7.5, 0.5).up(7.5, 0.5);
    expect(cellOf(hand.state.doc, 3)?.type).toBeNull();
    expect(names(hand)).toEqual(["Clear types"]);
  });
});

describe("wand", () => {
  const SIZE = 64;
  const random = chance(2);
  const values = Uint16Array.from({ length: SIZE * SIZE }, (_, at) => {
    const away = Math.hypot((at % SIZE) - 30, Math.floor(at / SIZE) - 30);
    return 100 + Math.floor(random() * 20) + Math.round(1500 / (1 + Math.exp(away - 10)));
  });
  const image = { width: SIZE, height: SIZE, channels: [values], roles: ["cytoplasm"] };
  const reference = referenceOf(image, null);
  const area = (hand: Hand): number => cellOf(hand.state.doc, 1)?.area ?? 0;
  const make = (doc = blank(SIZE, SIZE)): Hand => {
    const hand = new Hand(new Wand(), doc, { brushMeta: { type: "N2a", source: "human" } });
    hand.state = { ...hand.state, reference };
    return hand;
  };

  it("grows a new cell of the brush's type to its edge in the image", () => {
    const hand = make().click(30, 30);
    expect(Math.abs(area(hand) - Math.PI * 110)).toBeLessThan(80);
    expect(cellOf(hand.state.doc, 1)).toMatchObject({ type: "N2a", source: "human" });
    expect([...hand.state.selection]).toEqual([1]);
    expect(names(hand)).toEqual(["Wand"]);
    expect([...cellsOf(undone(hand).state.doc)]).toEqual([]);
  });

  it("takes more or less while the button is held: by dragging, or by the bracket keys", () => {
    const hand = make().down(30, 30);
    const usual = area(hand);
    hand.move(34, 30);
    const wider = area(hand);
    hand.move(24, 30);
    const tighter = area(hand);
    expect(wider).toBeGreaterThan(usual);
    expect(tighter).toBeLessThan(usual);
    hand.move(30, 30);
    expect(hand.key("]")).toBe(true);
    expect(hand.key("]")).toBe(true);
    expect(area(hand)).toBeGreaterThan(usual);
    hand.up(30, 30);
    expect(names(hand)).toEqual(["Wand"]);
    expect(hand.key("]")).toBe(false);
    expect([...cellsOf(undone(hand).state.doc)]).toEqual([]);
  });

  it("never enters another cell in protect mode, and does not start on one", () => {
    const doc = picture(Array.from({ length: SIZE }, () => ".".repeat(34) + "1".repeat(SIZE - 34)));
    const hand = make(doc).click(30, 30);
    expect(cellOf(hand.state.doc, 1)?.area).toBe(SIZE * (SIZE - 34));
    expect(cellOf(hand.state.doc, 2)?.box.x1).toBe(34);
    hand.click(50, 30);
    expect([...cellsOf(hand.state.doc)]).toHaveLength(2);
  });

  it("does nothing without an image", () => {
    const hand = new Hand(new Wand(), blank(9, 9)).click(4, 4);
    expect(hand.tool.busy).toBe(false);
    expect([...cellsOf(hand.state.doc)]).toEqual([]);
  });
});

describe("pick", () => {
  interface Question {
    readonly at: Point;
    readonly answer: (spans: Span[] | null) => Promise<void>;
  }

  function make(doc = blank(30, 30)): { hand: Hand; asked: Question[] } {
    const asked: Question[] = [];
    const hand = new Hand(new Pick(), doc, { brushMeta: { type: "HEK", source: "file_name" } });
    hand.services = {
      cellAt: (at) =>
        new Promise((resolve) => {
          asked.push({
            at,
            answer: (spans) => {
              resolve(spans);
              return new Promise((done) => setTimeout(done));
            },
          });
        }),
    };
    return { hand, asked };
  }
  const disk = (x: number, y: number): Span[] =>
    diskSpans({ x, y }, 4, { x0: 0, y0: 0, x1: 30, y1: 30 });

  it("asks for the cell under the click and adds it when the answer comes", async () => {
    const { hand, asked } = make();
    hand.click(10.7, 9.2);
    expect(asked.map(({ at }) => at)).toEqual([{ x: 10, y: 9 }]);
    expect(hand.tool.overlay(hand.state, null)).toMatchObject([{ centre: { x: 10.7, y: 9.2 } }]);
    await asked[0]?.answer(disk(10, 9));
    expect(cellOf(hand.state.doc, 1)).toMatchObject({ type: "HEK", source: "file_name" });
    expect(hand.tool.overlay(hand.state, null)).toEqual([]);
    expect(hand.refreshed).toBe(1);
    expect(names(hand)).toEqual(["Pick cell"]);
  });

  it("waits for several answers at once, in any order, and protects what came first", async () => {
    const { hand, asked } = make();
    hand.click(10, 10).click(16, 10);
    expect(hand.tool.busy).toBe(true);
    await asked[1]?.answer(disk(16, 10));
    const first = hand.state.doc.geometry.get(1)?.area;
    await asked[0]?.answer(disk(10, 10));
    expect([...cellsOf(hand.state.doc)]).toHaveLength(2);
    expect(hand.state.doc.geometry.get(1)?.area).toBe(first);
    expect(hand.tool.busy).toBe(false);
  });

  it("selects the cell that is there already, and says so", async () => {
    const { hand, asked } = make();
    hand.click(10, 10).click(11, 10);
    await asked[0]?.answer(disk(10, 10));
    await asked[1]?.answer(disk(10, 10));
    expect([hand.said, [...hand.state.selection]]).toEqual([[PRESENT], [1]]);
    hand.select().click(10, 10);
    expect([asked.length, hand.said.length, [...hand.state.selection]]).toEqual([2, 2, [1]]);
    expect(names(hand)).toEqual(["Pick cell"]);
  });

  it("forgets its questions when cancelled: a late answer adds nothing", async () => {
    const { hand, asked } = make();
    hand.click(10, 10).cancel();
    await asked[0]?.answer(disk(10, 10));
    expect([...cellsOf(hand.state.doc)]).toEqual([]);
    expect(hand.state.history.done).toEqual([]);
  });

  it("adds nothing where there is no cell, and does not ask on a protected one", async () => {
    const { hand, asked } = make(picture(["11....", "11....", "......"]));
    hand.click(1, 1).click(-3, 1);
    expect(asked).toEqual([]);
    hand.click(4, 1);
    await asked[0]?.answer(null);
    expect([...cellsOf(hand.state.doc)]).toHaveLength(1);
  });
});

describe("lasso", () => {
  const doc = picture(["11.22.33", "11.22.33", "........", "44.55.66", "44.55.66"]);
  const around = (hand: Hand, held: { alt?: boolean; shift?: boolean } = {}): Hand =>
    hand
      .down(-1, -1, held)
      .move(5.5, -1, held)
      .move(5.5, 2.5, held)
      .move(-1, 2.5, held)
      .up(-1, 2.5, held);

  it("with Alt held selects the cells that lie inside by half", () => {
    const hand = around(new Hand(new Select(), doc), { alt: true });
    expect([...hand.state.selection]).toEqual([1, 2]);
    const half = new Hand(new Select(), doc).down(1.5, -1, { alt: true });
    half.move(7.5, -1).move(7.5, 1.5).move(1.5, 1.5).up(1.5, 1.5);
    expect([...half.state.selection]).toEqual([2]);
  });

  it("with Shift adds to the selection", () => {
    const hand = around(new Hand(new Select(), doc).select(6), { alt: true, shift: true });
    expect([...hand.state.selection].sort()).toEqual([1, 2, 6]);
  });

  it("is what the lasso tool does without Alt; a click there selects as ever", () => {
    const hand = around(new Hand(new Select("lasso"), doc));
    expect([...hand.state.selection]).toEqual([1, 2]);
    expect([...hand.click(4.5, 3.5).state.selection]).toEqual([5]);
    expect(hand.tool.name).toBe("lasso");
  });
});

describe("pen pressure", () => {
  const width = (tool: Tool, pressure: number | null): number => {
    const hand = new Hand(tool, blank(60, 60), { diameter: 16 });
    const held = pressure === null ? {} : { pen: true, pressure };
    hand.down(30, 30, held).up(30, 30, held);
    const box = cellOf(hand.state.doc, 1)?.box;
    return box === undefined ? 0 : box.x1 - box.x0;
  };

  it("scales the brush of a pen and of nothing else", () => {
    expect(width(new Brush(), null)).toBe(16);
    expect(width(new Brush(), 0.5)).toBe(16);
    expect(width(new Brush(), 0.25)).toBe(8);
    expect(width(new Brush(), 0.75)).toBe(24);
    expect(width(new Brush(), 0)).toBeLessThan(5);
  });

  it("scales the eraser too", () => {
    const full = picture(Array.from({ length: 20 }, () => "1".repeat(20)));
    const hand = new Hand(new Eraser(), full, { diameter: 8 });
    hand.down(10, 10, { pen: true, pressure: 0.25 }).up(10, 10);
    expect(400 - (cellOf(hand.state.doc, 1)?.area ?? 0)).toBe(12);
  });
});

describe("every tool given up half-way", () => {
  const tools: [string, () => Tool][] = [
    ["split", () => new Split()],
    ["wand", () => new Wand()],
    ["type", () => new TypeBrush()],
    ["brush", () => new Brush()],
    ["eraser", () => new Eraser()],
    ["lasso", () => new Select("lasso")],
    ["pick", () => new Pick()],
  ];
  const values = Uint16Array.from({ length: 3600 }, (_, at) => (at * 7919) % 1000);
  const image = { width: 60, height: 60, channels: [values], roles: ["cytoplasm"] };

  it.each(tools)("%s leaves no trace", (_name, make) => {
    const doc = gridOfCells(60, 2);
    const hand = new Hand(make(), doc, {
      brushMeta: { type: "U2OS", source: "human" },
      diameter: 9,
    });
    hand.state = { ...hand.state, reference: referenceOf(image, doc) };
    hand.select(2);
    const before = hand.state;
    hand.click(14, 14).cancel();
    const clicked = hand.state;
    if (clicked.history.done.length > 0) undone(hand);
    hand.state = { ...before, revision: 0 };
    hand.down(2, 30).move(20, 31).move(58, 29).cancel();
    expect(hand.tool.busy).toBe(false);
    expect(hand.tool.overlay(hand.state, null)).toEqual([]);
    expect(hand.state.doc.labels.equals(doc.labels)).toBe(true);
    expect([...cellsOf(hand.state.doc)]).toEqual([...cellsOf(doc)]);
    expect([...hand.state.selection]).toEqual([2]);
    expect(hand.state.history).toEqual(before.history);
    hand.move(40, 40).up(40, 40);
    expect(hand.state.doc.labels.equals(doc.labels)).toBe(true);
  });
});
