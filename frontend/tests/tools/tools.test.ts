import { describe, expect, it } from "vitest";
import { undo } from "../../src/core/commands";
import { cellOf, cellsOf } from "../../src/core/document";
import { transact } from "../../src/core/state";
import { Brush } from "../../src/tools/brush";
import { Delete } from "../../src/tools/delete";
import { Eraser } from "../../src/tools/eraser";
import { Merge } from "../../src/tools/merge";
import { Pan } from "../../src/tools/pan";
import { Polygon } from "../../src/tools/polygon";
import { Select } from "../../src/tools/select";
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

describe("brush", () => {
  it("draws one new cell of the brush's type and selects it", () => {
    const hand = new Hand(new Brush(), blank(60, 20), {
      diameter: 6,
      brushMeta: { type: "N2a", source: "human" },
    });
    hand.down(10, 10).move(50, 10).up(50, 10);
    expect([...cellsOf(hand.state.doc)]).toHaveLength(1);
    expect(cellOf(hand.state.doc, 1)).toMatchObject({ type: "N2a", source: "human" });
    expect([...hand.state.selection]).toEqual([1]);
    expect(hand.state.history.done.map(({ name }) => name)).toEqual(["Brush"]);
  });

  it("leaves no gap however fast the pointer moves", () => {
    const hand = new Hand(new Brush(), blank(300, 40), { diameter: 3 });
    hand.down(5, 5).move(290, 33).up(290, 33);
    const { labels } = hand.state.doc;
    for (let x = 5; x < 290; x++) {
      const onLine = 5 + ((x + 0.5 - 5) / 285) * 28;
      expect(labels.at(x, Math.floor(onLine))).toBe(1);
    }
    expect(hand.state.fragments.size).toBe(0);
  });

  it("in protect mode never changes a pixel of another cell", () => {
    const start = gridOfCells(120, 4);
    const before = start.labels.flat();
    const random = chance(31);
    const hand = new Hand(new Brush(), start, { diameter: 9 });
    for (let stroke = 0; stroke < 60; stroke++) {
      hand.down(random() * 120, random() * 120);
      for (let sample = 0; sample < 4; sample++) hand.move(random() * 120, random() * 120);
      hand.up(60, 60);
    }
    const after = hand.state.doc.labels.flat();
    expect(after.filter((label, at) => before[at] !== 0 && label !== before[at])).toHaveLength(0);
    expect(after).not.toEqual(before);
  });

  it("in overwrite mode takes pixels from other cells, so cells never overlap", () => {
    const hand = new Hand(new Brush(), picture(["1111....", "1111....", "1111...."]), {
      diameter: 3,
      mode: "overwrite",
    });
    hand.down(6.5, 1.5).move(2.5, 1.5).up(2.5, 1.5);
    expect(hand.state.doc.labels.at(2, 1)).toBe(2);
    expect((cellOf(hand.state.doc, 1)?.area ?? 0) + (cellOf(hand.state.doc, 2)?.area ?? 0)).toBe(
      hand.state.doc.labels.flat().filter((label) => label !== 0).length,
    );
  });

  it("extends the cell it starts on, and the selected cell it touches", () => {
    const rows = ["11.......", "11.......", "........."];
    const started = new Hand(new Brush(), picture(rows), { diameter: 1 });
    started.down(1.5, 0.5).move(5.5, 0.5).up(5.5, 0.5);
    expect(rowsOf(started.state.doc)[0]).toBe("111111...");
    const touching = new Hand(new Brush(), picture(rows), { diameter: 3 }).select(1);
    touching.down(3, 1).move(5, 1).up(5, 1);
    expect([...cellsOf(touching.state.doc)].map(({ label }) => label)).toEqual([1]);
  });

  it("starts a new cell after N even where a cell is selected", () => {
    const hand = new Hand(new Brush(), picture(["11....", "11....", "......"]), {
      diameter: 3,
      startNew: true,
    });
    hand.select(1).down(2.5, 1).move(4, 1).up(4, 1);
    expect([...cellsOf(hand.state.doc)].map(({ label }) => label)).toEqual([1, 2]);
    expect(hand.state.options.startNew).toBe(false);
  });

  it("that painted nothing leaves neither a cell nor an entry to undo", () => {
    const hand = new Hand(new Brush(), picture(["111", "111", "111"]), {
      startNew: true,
      diameter: 1,
    });
    hand.down(1, 1).up(1, 1);
    expect([...cellsOf(hand.state.doc)].map(({ label }) => label)).toEqual([1]);
    expect(hand.state.history.done).toEqual([]);
  });

  it("cancelled leaves no trace", () => {
    const hand = new Hand(new Brush(), blank(30, 30), { diameter: 8 });
    hand.down(10, 10).move(20, 20).cancel();
    expect(hand.state.doc.labels.flat().some((label) => label !== 0)).toBe(false);
    expect(hand.state.history.done).toEqual([]);
    hand.move(25, 25).up(25, 25);
    expect([...cellsOf(hand.state.doc)]).toEqual([]);
  });
});

describe("eraser", () => {
  const touching = ["1111222", "1111222", "1111222"];

  it("in protect mode erases the cell it first touches and no other", () => {
    const hand = new Hand(new Eraser(), picture(touching), { diameter: 1 });
    hand.down(1.5, 1.5).move(6.5, 1.5).up(6.5, 1.5);
    expect(rowsOf(hand.state.doc)).toEqual(["1111222", "1...222", "1111222"]);
    expect(rowsOf(undone(hand).state.doc)).toEqual(touching);
  });

  it("keeps to the selected cell", () => {
    const hand = new Hand(new Eraser(), picture(touching), { diameter: 3 }).select(2);
    hand.down(4, 1.5).up(4, 1.5);
    expect(rowsOf(hand.state.doc).every((row) => row.startsWith("1111"))).toBe(true);
    expect(hand.state.doc.labels.at(4, 1)).toBe(0);
  });

  it("in overwrite mode erases whatever it crosses", () => {
    const hand = new Hand(new Eraser(), picture(touching), { diameter: 1, mode: "overwrite" });
    hand.down(0.5, 1.5).move(6.5, 1.5).up(6.5, 1.5);
    expect(rowsOf(hand.state.doc)).toEqual(["1111222", ".......", "1111222"]);
  });

  it("that cuts a cell in two says so", () => {
    const hand = new Hand(new Eraser(), picture(["11111", "11111"]), { diameter: 1 });
    hand.down(2.5, 0.5).move(2.5, 1.5).up(2.5, 1.5);
    expect([...hand.state.fragments]).toEqual([1]);
    expect([...undone(hand).state.fragments]).toEqual([]);
  });
});

describe("polygon", () => {
  it("closes on its first corner and fills a new cell", () => {
    const hand = new Hand(new Polygon(), blank(20, 20));
    hand.click(2, 2).click(12, 2).click(12, 12).click(2, 12);
    expect(hand.tool.busy).toBe(true);
    hand.click(2.3, 2.3);
    expect(cellOf(hand.state.doc, 1)).toMatchObject({
      area: 100,
      box: { x0: 2, y0: 2, x1: 12, y1: 12 },
    });
    expect(hand.tool.busy).toBe(false);
  });

  it("closes on its first corner after the view was zoomed", () => {
    const hand = new Hand(new Polygon(), blank(40, 40));
    hand.click(2, 2).click(12, 2).click(12, 12);
    hand.scale = 1;
    hand.click(2, 12).click(4, 4);
    expect(hand.tool.busy).toBe(false);
    expect(cellOf(hand.state.doc, 1)?.area).toBe(100);
  });

  it("does not take a click elsewhere for its first corner after the view was moved", () => {
    const hand = new Hand(new Polygon(), blank(40, 40));
    hand.click(2, 2).click(12, 2).click(12, 12);
    hand.scale = 40;
    // The same place of the screen as the first corner's, ten pixels of the image away.
    hand.click(0.5, 0.5);
    expect(hand.tool.busy).toBe(true);
  });

  it("a corner 7 px from the first does not close it; within 5 px the first is lifted out", () => {
    const hand = new Hand(new Polygon(), blank(20, 20));
    hand.click(2, 2).click(12, 2).click(12, 12);
    const path = (x: number) => hand.tool.overlay(hand.state, { x, y: 2 }, hand.scale)[0];
    expect([path(2.7), path(2.4)]).toMatchObject([{ closing: false }, { closing: true }]);
    hand.click(2, 2.7);
    expect([hand.tool.busy, hand.ended]).toEqual([true, []]);
    hand.click(2, 2.5);
    expect([hand.tool.busy, hand.ended]).toEqual([false, ["The polygon is closed"]]);
  });

  it("undo takes corners back and redo sets them again, as long as there is one", () => {
    const tool = new Polygon();
    const hand = new Hand(tool, blank(20, 20));
    expect(tool.undo()).toBe(false);
    hand.click(0, 0).click(10, 0).click(10, 10).click(0, 15);
    expect([tool.undo(), tool.undo(), tool.redo()]).toEqual([true, true, true]);
    expect(tool.redo() && tool.undo() && tool.redo()).toBe(true);
    tool.undo();
    hand.click(0, 10);
    tool.redo();
    hand.key("Enter");
    expect(cellOf(hand.state.doc, 1)?.area).toBe(100);
    hand.click(1, 1);
    expect([tool.undo(), tool.busy, tool.undo(), tool.redo()]).toEqual([true, false, false, false]);
  });

  it("closed by Enter it did not end by itself", () => {
    const hand = new Hand(new Polygon(), blank(20, 20)).click(0, 0).click(9, 0).click(9, 9);
    hand.key("Enter");
    expect([hand.tool.busy, hand.ended]).toEqual([false, []]);
  });

  it("takes Shift and Alt at any of its clicks", () => {
    const hand = new Hand(new Polygon(), picture(["1....", "1....", "2...."])).select(1);
    hand.click(0, 0).click(4, 0).click(4, 1).click(0, 1, { shift: true }).key("Enter");
    expect(rowsOf(hand.state.doc)).toEqual(["1111.", "1....", "2...."]);
    hand.click(2, 0, { alt: true }).click(4, 0).click(4, 1).click(2, 1).key("Enter");
    expect(rowsOf(hand.state.doc)).toEqual(["11...", "1....", "2...."]);
  });

  it("takes corners back one by one and closes on Enter", () => {
    const hand = new Hand(new Polygon(), blank(20, 20));
    hand.click(0, 0).click(10, 0).click(10, 10).click(19, 19);
    expect(hand.key("Backspace")).toBe(true);
    expect(hand.key("Enter")).toBe(true);
    expect(cellOf(hand.state.doc, 1)?.box).toEqual({ x0: 0, y0: 0, x1: 10, y1: 10 });
    expect(hand.key("Enter")).toBe(false);
  });

  it("drawn freehand closes where the pointer is lifted", () => {
    const hand = new Hand(new Polygon(), blank(20, 20));
    hand.down(2, 2).move(10, 2).move(10, 10).move(2, 10).up(2, 10);
    expect(cellOf(hand.state.doc, 1)?.area).toBe(64);
  });

  it("spares other cells in protect mode", () => {
    const hand = new Hand(new Polygon(), picture(["...", ".1.", "..."]));
    hand.down(0, 0).move(3, 0).move(3, 3).move(0, 3).up(0, 3);
    expect(rowsOf(hand.state.doc)).toEqual(["222", "212", "222"]);
  });

  it("with Shift adds to the selected cell, with Alt takes away from it", () => {
    const rows = ["1....", "1....", "2...."];
    const adding = new Hand(new Polygon(), picture(rows)).select(1);
    adding.down(0, 0, { shift: true }).move(4, 0).move(4, 1).move(0, 1).up(0, 1);
    expect(rowsOf(adding.state.doc)).toEqual(["1111.", "1....", "2...."]);
    const cutting = new Hand(new Polygon(), picture(rows)).select(1);
    cutting.down(0, 1, { alt: true }).move(4, 1).move(4, 3).move(0, 3).up(0, 3);
    expect(rowsOf(cutting.state.doc)).toEqual(["1....", ".....", "2...."]);
  });
});

describe("select", () => {
  const doc = picture(["1.2", "...", "3.4"]);

  it("takes the cell clicked, and none on the background", () => {
    const hand = new Hand(new Select(), doc).click(2.5, 0.5);
    expect([...hand.state.selection]).toEqual([2]);
    expect([...hand.click(1.5, 1.5).state.selection]).toEqual([]);
  });

  it("with Shift adds and takes away", () => {
    const hand = new Hand(new Select(), doc).click(0.5, 0.5);
    expect([...hand.click(2.5, 2.5, { shift: true }).state.selection]).toEqual([1, 4]);
    expect([...hand.click(0.5, 0.5, { shift: true }).state.selection]).toEqual([4]);
  });

  it("takes every cell a dragged box reaches", () => {
    const hand = new Hand(new Select(), doc).down(2.9, 2.9).move(2.1, 0.9).up(2.1, 0.9);
    expect([...hand.state.selection].sort()).toEqual([2, 4]);
  });

  it("changes nothing in the history", () => {
    expect(new Hand(new Select(), doc).click(0.5, 0.5).state.history.done).toEqual([]);
  });
});

describe("merge, delete and pan", () => {
  it("a stroke joins the cells into the largest; what a person said of a type wins", () => {
    const hand = new Hand(
      new Merge(),
      picture(
        ["1.2222.3"],
        [
          [1, { type: "N2a", source: "human" }],
          [2, { type: "HEK", source: "model" }],
        ],
      ),
    );
    hand.down(0.5, 0.5).move(7.5, 0.5).up(7.5, 0.5);
    expect(rowsOf(hand.state.doc)).toEqual(["22222222"]);
    expect(cellOf(hand.state.doc, 2)).toMatchObject({ type: "N2a", source: "human" });
    expect([...hand.state.selection]).toEqual([2]);
  });

  it("a stroke joins the cells it crosses, of equal ones into the first", () => {
    const hand = new Hand(new Merge(), picture(["11.22.33"]));
    hand.down(0.5, 0.5).move(4.5, 0.5).up(4.5, 0.5);
    expect(rowsOf(hand.state.doc)).toEqual(["11111.33"]);
    expect([...hand.state.selection]).toEqual([1]);
    expect(rowsOf(undone(hand).state.doc)).toEqual(["11.22.33"]);
  });

  it("a cancelled merge gives the old selection back", () => {
    const hand = new Hand(new Merge(), picture(["11.22.33"])).select(3);
    hand.down(0.5, 0.5).move(4.5, 0.5).cancel();
    expect([...hand.state.selection]).toEqual([3]);
    expect(rowsOf(hand.state.doc)).toEqual(["11.22.33"]);
  });

  it("a stroke of the delete tool removes what it crosses, in one entry", () => {
    const hand = new Hand(new Delete(), picture(["11.22.33"]));
    hand.down(0.5, 0.5).move(4.5, 0.5).up(4.5, 0.5);
    expect(rowsOf(hand.state.doc)).toEqual(["......33"]);
    expect(hand.state.history.done).toHaveLength(1);
  });

  it("pan moves the view by what the pointer moved", () => {
    const hand = new Hand(new Pan(), blank(4, 4)).down(0, 0).move(1, 2).move(1, 3).up(1, 3);
    expect(hand.panned).toEqual([
      [10, 20],
      [0, 10],
    ]);
  });
});
