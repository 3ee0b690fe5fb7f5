import { describe, expect, it } from "vitest";
import {
  changedOutside,
  completeRegion,
  completeShare,
  completeWhole,
  cornerAt,
  reopenBox,
  reopenRegion,
} from "../../src/core/completeness";
import { assignType, deleteCells, type Command } from "../../src/core/commands";
import { sameDocument, sameRegions } from "../../src/core/document";
import type { Box } from "../../src/core/geometry";
import { openState, transact, type EditorState } from "../../src/core/state";
import { mergeSteps, RegionsStep, stepFromJson, type Step } from "../../src/core/steps";
import { chance, gridOfCells, picture } from "./drawing";

const box = (x0: number, y0: number, x1: number, y1: number): Box => ({ x0, y0, x1, y1 });
const SIZE = 40;

function run(state: EditorState, ...commands: Command[]): EditorState {
  let now = state;
  for (const command of commands) {
    command(now, (transaction) => {
      now = transact(now, transaction);
    });
  }
  return now;
}
const start = (): EditorState => openState(gridOfCells(SIZE, 2));

describe("complete regions", () => {
  it("are what they were when the whole image is no longer", () => {
    const part = [box(0, 0, 9, 9)];
    const whole = run(start(), completeRegion(box(0, 0, 9, 9)), completeWhole(true));
    expect(run(whole, completeWhole(false, part)).doc.regions).toEqual(part);
    expect(run(whole, completeWhole(false)).doc.regions).toEqual([]);
  });

  it("begin as the whole image; the first drawn one takes its place", () => {
    expect(start().doc.regions).toBeNull();
    const state = run(start(), completeRegion(box(2.4, 3.6, 10.5, 12)));
    expect(state.doc.regions).toEqual([box(2, 4, 11, 12)]);
  });

  it("end at the image's border, and drawn outside it are none", () => {
    const state = run(start(), completeRegion(box(-9, 30, 10, 99)));
    expect(state.doc.regions).toEqual([box(0, 30, 10, 40)]);
    expect(completeRegion(box(50, 50, 60, 60))(start())).toBe(false);
  });

  it("inside others add nothing; around others take their place", () => {
    const state = run(start(), completeRegion(box(5, 5, 20, 20)), completeRegion(box(6, 6, 9, 9)));
    expect(state.doc.regions).toHaveLength(1);
    expect(run(state, completeRegion(box(0, 0, 30, 30))).doc.regions).toEqual([box(0, 0, 30, 30)]);
  });

  it("are removed one by one; none left is nothing complete", () => {
    const two = run(start(), completeRegion(box(0, 0, 9, 9)), completeRegion(box(20, 20, 30, 30)));
    const [first] = two.doc.regions ?? [];
    expect(run(two, reopenRegion(first as Box)).doc.regions).toEqual([box(20, 20, 30, 30)]);
    expect(reopenBox(box(10, 10, 12, 12))(two)).toBe(false);
    expect(run(two, reopenBox(box(0, 0, 40, 40))).doc.regions).toEqual([]);
    expect(run(two, completeWhole(true)).doc.regions).toBeNull();
    expect(completeWhole(true)(start())).toBe(false);
  });

  it("lose the box taken out of them and nothing else", () => {
    const one = run(start(), completeRegion(box(0, 0, 20, 20)));
    const holed = run(one, reopenBox(box(4.2, 5, 10, 15))).doc.regions ?? [];
    expect(holed).toHaveLength(4);
    expect(completeShare(holed, box(0, 0, 20, 20))).toBeCloseTo(1 - (6 * 10) / 400);
    expect(run(one, reopenBox(box(10, -5, 30, 30))).doc.regions).toEqual([box(0, 0, 10, 20)]);
    const random = chance(5);
    const some = (): Box => {
      const [x0, y0] = [Math.floor(random() * 30), Math.floor(random() * 30)];
      return box(x0, y0, x0 + 1 + Math.floor(random() * 9), y0 + 1 + Math.floor(random() * 9));
    };
    for (let round = 0; round < 100; round++) {
      const hole = some();
      const before = run(start(), completeRegion(some()), completeRegion(some()));
      const after = run(before, reopenBox(hole)).doc.regions;
      const inside = (regions: readonly Box[] | null, x: number, y: number): boolean =>
        regions?.some((each) => each.x0 <= x && x < each.x1 && each.y0 <= y && y < each.y1) ?? true;
      for (let at = 0; at < SIZE * SIZE; at++) {
        const [x, y] = [at % SIZE, Math.floor(at / SIZE)];
        const wanted = inside(before.doc.regions, x, y) && !inside([hole], x, y);
        expect(inside(after, x, y)).toBe(wanted);
      }
    }
  });

  it("are all but a box of an image that was complete as a whole", () => {
    const state = run(start(), reopenBox(box(0, 0, 40, 10)));
    expect(state.doc.regions).toEqual([box(0, 10, 40, 40)]);
  });

  it("are undone and redone with everything else", () => {
    const state = run(start(), completeRegion(box(0, 0, 9, 9)), completeWhole(true));
    const undone = transact(transact(state, { kind: "undo" }), { kind: "undo" });
    expect(sameDocument(undone.doc, start().doc)).toBe(true);
    expect(transact(undone, { kind: "redo" }).doc.regions).toEqual([box(0, 0, 9, 9)]);
  });

  it("make a document another one", () => {
    const state = run(start(), completeRegion(box(0, 0, 9, 9)));
    expect(sameDocument(state.doc, start().doc)).toBe(false);
    expect(
      sameRegions([box(0, 0, 1, 1), box(2, 2, 3, 3)], [box(2, 2, 3, 3), box(0, 0, 1, 1)]),
    ).toBe(true);
  });

  it("are found by their upper right corner", () => {
    const regions = [box(0, 10, 20, 30)];
    expect(cornerAt(regions, { x: 18.5, y: 11 }, 2)).toBe(regions[0]);
    expect(cornerAt(regions, { x: 10, y: 20 }, 2)).toBeNull();
    expect(cornerAt(null, { x: 0, y: 0 }, 2)).toBeNull();
  });

  it("that overlap count once in the share of the image", () => {
    const image = box(0, 0, 10, 10);
    expect(completeShare(null, image)).toBe(1);
    expect(completeShare([], image)).toBe(0);
    expect(completeShare([box(0, 0, 5, 10), box(0, 0, 10, 5)], image)).toBe(0.75);
  });
});

it("a regions step inverts, merges and is read back, for many random ones", () => {
  const random = chance(8);
  const someRegions = (): Box[] | null => {
    if (random() < 0.2) return null;
    return Array.from({ length: Math.floor(random() * 4) }, () => {
      const [x0, y0] = [Math.floor(random() * 30), Math.floor(random() * 30)];
      return box(x0, y0, x0 + 1 + Math.floor(random() * 9), y0 + 1 + Math.floor(random() * 9));
    });
  };
  for (let round = 0; round < 200; round++) {
    const first = gridOfCells(SIZE, 2);
    let doc = first;
    const steps: Step[] = [];
    for (let edit = 0; edit < 5; edit++) {
      const each = new RegionsStep(doc.regions, someRegions());
      expect(each.invert().apply(each.apply(doc)).regions).toEqual(doc.regions);
      steps.push(stepFromJson(JSON.parse(JSON.stringify(each.toJson()))));
      doc = each.apply(doc);
    }
    const merged = mergeSteps(steps);
    expect(merged).toHaveLength(1);
    expect(merged[0]?.apply(first).regions).toEqual(doc.regions);
    expect(merged[0]?.invert().apply(doc).regions).toEqual(first.regions);
  }
});

describe("work outside of complete regions", () => {
  const drawn = openState(picture(["11.22", "11.22"]));
  const left = [box(0, 0, 3, 2)];
  const outside = (...commands: Command[]): boolean =>
    changedOutside(drawn.doc, run(drawn, ...commands).doc, left);

  it("is any change of a cell that reaches out of them", () => {
    expect(outside()).toBe(false);
    expect(outside(deleteCells(new Set([1])))).toBe(false);
    expect(outside(assignType([1], "HEK"))).toBe(false);
    expect(outside(deleteCells(new Set([2])))).toBe(true);
    expect(outside(assignType([2], "HEK"))).toBe(true);
  });

  it("is none where it was undone", () => {
    const gone = run(drawn, deleteCells(new Set([2])));
    expect(changedOutside(drawn.doc, transact(gone, { kind: "undo" }).doc, left)).toBe(false);
  });
});
