import { expect, it } from "vitest";
import { RegionTool } from "../../src/tools/region";
import { gridOfCells } from "../core/drawing";
import { Hand } from "./hand";

const hand = () => new Hand(new RegionTool(), gridOfCells(40, 2));
const drag = (by: Hand, from: number, to: number, alt = false) =>
  by.down(from, from, { alt }).move(to, to, { alt }).up(to, to, { alt });

it("a dragged rectangle is complete, the rest no longer; undo takes it back", () => {
  const by = drag(hand(), 4.2, 18.9);
  expect(by.state.doc.regions).toEqual([{ x0: 4, y0: 4, x1: 19, y1: 19 }]);
  expect(by.state.history.done.map(({ name }) => name)).toEqual(["Mark region complete"]);
});

it("a drag with Alt takes its rectangle out and leaves the rest of the region", () => {
  const by = drag(drag(hand(), 2, 10), 20, 30);
  const untouched = { x0: 2, y0: 2, x1: 10, y1: 10 };
  expect(drag(by, 25, 35, true).state.doc.regions).toEqual([
    untouched,
    { x0: 20, y0: 20, x1: 30, y1: 25 },
    { x0: 20, y0: 25, x1: 25, y1: 30 },
  ]);
  expect(by.state.history.done.map(({ name }) => name).at(-1)).toBe("Unmark region");
});

it("a click on a region's cross removes it; a click elsewhere does nothing", () => {
  const by = drag(hand(), 5, 20);
  expect(by.click(12, 12).state.doc.regions).toHaveLength(1);
  expect(by.click(20.5, 5.5).state.doc.regions).toEqual([]);
});

it("the cross is as near at any zoom", () => {
  const by = drag(hand(), 5, 20);
  by.scale = 1;
  expect(by.click(28, 5).state.doc.regions).toEqual([]);
});

it("given up, the drag leaves no trace", () => {
  const by = hand().down(5, 5).move(20, 20);
  expect(by.tool.busy).toBe(true);
  expect(by.tool.overlay(by.state, null)).toHaveLength(1);
  by.cancel().up(20, 20);
  expect(by.state.doc.regions).toBeNull();
  expect(by.tool.overlay(by.state, null)).toEqual([]);
});
