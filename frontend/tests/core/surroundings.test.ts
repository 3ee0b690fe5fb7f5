/** What was changed, and the boxes around it that are complete with it. */
import { describe, expect, it, vi } from "vitest";
import { assignType, deleteCells } from "../../src/core/commands";
import type { MaskDocument } from "../../src/core/document";
import type { Box } from "../../src/core/geometry";
import { LabelImage } from "../../src/core/labelImage";
import { openState, transact } from "../../src/core/state";
import { changedCells, MOST_REGIONS, withCells } from "../../src/core/surroundings";
import { chance, gridOfCells, picture, randomStroke } from "./drawing";

/** "#" where the boxes are; no pixel twice. */
function drawn(boxes: readonly Box[], { labels }: MaskDocument): string[] {
  const rows = Array.from({ length: labels.height }, () => Array<string>(labels.width).fill("."));
  for (const { x0, y0, x1, y1 } of boxes)
    for (let y = y0; y < y1; y++)
      for (let x = x0; x < x1; x++) {
        const row = rows[y] as string[];
        expect(row[x], `${x}, ${y} once`).toBe(".");
        row[x] = "#";
      }
  return rows.map((row) => row.join(""));
}

function after(doc: MaskDocument, ...commands: ReturnType<typeof deleteCells>[]): MaskDocument {
  let state = openState(doc);
  for (const command of commands) command(state, (said) => (state = transact(state, said)));
  return state.doc;
}

const ROWS = ["..........", ".11...22..", ".11...22..", ".........."];

describe("cells that were changed", () => {
  it("are those drawn, typed and deleted, and no others", () => {
    const before = picture(ROWS);
    expect([...changedCells(before, before)]).toEqual([]);
    const now = after(before, deleteCells(new Set([1])), assignType([2], "HEK"));
    expect([...changedCells(before, now)].sort()).toEqual([1, 2]);
    expect([...changedCells(before, picture([...ROWS.slice(0, 3), "....33...."]))]).toEqual([3]);
  });

  it("are not those of which only the box of memory is another", () => {
    expect([...changedCells(picture(ROWS), picture(ROWS))]).toEqual([]);
  });
});

describe("their surroundings", () => {
  it("are a ring around them", () => {
    const doc = picture(ROWS);
    expect(drawn(withCells([], new Set([1]), doc, doc), doc)).toEqual([
      "####......",
      "####......",
      "####......",
      "####......",
    ]);
  });

  it("leave other cells out, and what is complete already", () => {
    const doc = picture(["..........", "..1122....", "..1122....", ".........."]);
    const done = { x0: 0, y0: 0, x1: 2, y1: 4 };
    const found = withCells([done], new Set([1]), doc, doc);
    expect(found[0]).toBe(done);
    const rows = drawn(found, doc);
    expect(rows[1]).toMatch(/^####\.\./);
    expect(rows[2]).toMatch(/^####\.\./);
  });

  it("are where a cell was, too", () => {
    const before = picture(ROWS);
    const now = after(before, deleteCells(new Set([1])));
    const rows = drawn(withCells([], new Set([1]), before, now), now);
    expect(rows[1]).toMatch(/^####/);
    expect(withCells([], new Set([9]), before, now)).toEqual([]);
  });

  it("hold all that was changed and no pixel of another cell, however it lies", () => {
    const random = chance(5);
    const before = gridOfCells(128, 6);
    for (let round = 0; round < 12; round++) {
      const now = randomStroke(before, random).apply(before);
      const cells = changedCells(before, now);
      const rows = drawn(withCells([], cells, before, now), now);
      const flat = now.labels.flat();
      const was = before.labels.flat();
      rows
        .join("")
        .split("")
        .forEach((mark, at) => {
          const label = flat[at] as number;
          if (cells.has(label) || (label === 0 && cells.has(was[at] as number)))
            expect(mark).toBe("#");
          else if (label !== 0) expect(mark).toBe(".");
        });
    }
  });

  it("hold the cells whatever number of regions there is: whoever sends them has to look", () => {
    const doc = picture(ROWS);
    const many = Array.from({ length: MOST_REGIONS }, () => ({ x0: 9, y0: 0, x1: 10, y1: 1 }));
    const rows = drawn(withCells(many, new Set([1]), doc, doc).slice(MOST_REGIONS), doc);
    expect(rows[1]).toMatch(/^####\./);
    expect(rows[2]).toMatch(/^####\./);
  });

  it("of cells far apart are told without what lies between them", () => {
    const doc = gridOfCells(1024, 16);
    const read = vi.spyOn(LabelImage.prototype, "read");
    const boxes = withCells([], new Set([1, 256]), doc, doc);
    const pixels = read.mock.calls.reduce((sum, [{ x0, y0, x1, y1 }]) => {
      return sum + (x1 - x0) * (y1 - y0);
    }, 0);
    read.mockRestore();
    expect(pixels).toBeLessThan(1024 * 32);
    expect([boxes.some(({ x1 }) => x1 < 70), boxes.some(({ x0 }) => x0 > 950)]).toEqual([
      true,
      true,
    ]);
  });
});
