import { describe, expect, it } from "vitest";
import {
  banded,
  carried,
  everything,
  focused,
  mannerOf,
  NOTHING,
  nothing,
  pressed,
  targets,
  type Selection,
} from "../../src/ui/gallery/selection";

const chosen = ({ chosen: set }: Selection): number[] => [...set].sort((a, b) => a - b);

describe("selecting", () => {
  it("one alone, others with Ctrl, a range with Shift", () => {
    let selection = pressed(NOTHING, 4, "alone");
    expect(chosen(selection)).toEqual([4]);
    selection = pressed(selection, 9, "toggle");
    expect(chosen(selection)).toEqual([4, 9]);
    selection = pressed(selection, 7, "range");
    expect(chosen(selection)).toEqual([7, 8, 9]);
    // The range is drawn from where it began, also to the other side.
    selection = pressed(selection, 11, "range");
    expect(chosen(selection)).toEqual([9, 10, 11]);
    selection = pressed(selection, 10, "toggle");
    expect(chosen(selection)).toEqual([9, 11]);
    selection = pressed(selection, 13, "more");
    expect(chosen(selection)).toEqual([9, 10, 11, 12, 13]);
    expect(selection.focus).toBe(13);
  });

  it("by arrow keys: what has the focus is what keys act on", () => {
    let selection = pressed(NOTHING, 4, "alone");
    selection = focused(selection, 5);
    expect(chosen(selection)).toEqual([]);
    expect(targets(selection, 10)).toEqual([5]);
    selection = focused(selection, 7, "range");
    expect(chosen(selection)).toEqual([5, 6, 7]);
    selection = focused(selection, 9, "toggle");
    expect(chosen(selection)).toEqual([5, 6, 7]);
    expect(selection.focus).toBe(9);
  });

  it("by a rubber band, in addition to what was selected before it", () => {
    const before = pressed(NOTHING, 2, "alone").chosen;
    const growing = banded(NOTHING, [5, 6], before);
    expect(chosen(growing)).toEqual([2, 5, 6]);
    expect(chosen(banded(growing, [5], before))).toEqual([2, 5]);
    expect(chosen(banded(NOTHING, [], new Set()))).toEqual([]);
  });

  it("all, none", () => {
    const all = everything(NOTHING, 3);
    expect(targets(all, 3)).toEqual([0, 1, 2]);
    expect(chosen(nothing(all))).toEqual([]);
  });

  it("keys act on nothing where there is nothing", () => {
    expect(targets(NOTHING, 0)).toEqual([]);
  });

  it("stays with its cells when the list is read again", () => {
    const selection = pressed(pressed(NOTHING, 1, "alone"), 8, "toggle");
    const places = new Map([[1, 3]]);
    // The one in focus is gone: the keyboard stays at its place, as far as there is one.
    expect(carried(selection, places, 20)).toEqual({ chosen: new Set([3]), focus: 8, anchor: 8 });
    expect(carried(selection, places, 5)).toEqual({ chosen: new Set([3]), focus: 4, anchor: 4 });
    expect(carried(selection, new Map(), 0).focus).toBe(0);
  });

  it("reads the manner from the keys held", () => {
    const held = { shiftKey: false, ctrlKey: false, metaKey: false };
    expect(mannerOf(held)).toBe("alone");
    expect(mannerOf({ ...held, ctrlKey: true })).toBe("toggle");
    expect(mannerOf({ ...held, metaKey: true })).toBe("toggle");
    expect(mannerOf({ ...held, shiftKey: true })).toBe("range");
    expect(mannerOf({ shiftKey: true, ctrlKey: true, metaKey: false })).toBe("more");
  });
});
