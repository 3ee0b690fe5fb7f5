import { expect, it } from "vitest";
import { LabelImage } from "../../src/core/labelImage";
import { Table } from "../../src/core/table";
import { chance } from "./drawing";

it("a label image gives back what it was made of, whole and in windows", () => {
  const random = chance(13);
  const [width, height] = [150, 131];
  const flat = Uint32Array.from({ length: width * height }, () => Math.floor(random() * 70_000));
  const image = LabelImage.from(flat, width, height);
  expect(image.flat()).toEqual(flat);
  const window = image.read({ x0: 60, y0: 63, x1: 131, y1: 70 });
  expect(window[0]).toBe(flat[63 * width + 60]);
  expect(window.at(-1)).toBe(flat[69 * width + 130]);
  expect(image.at(149, 130)).toBe(flat.at(-1));
});

it("a label image knows only background outside itself", () => {
  const image = LabelImage.from([7], 1, 1);
  expect([image.at(-1, 0), image.at(0, 1), image.at(1, 0), image.at(0, 0)]).toEqual([0, 0, 0, 7]);
});

it("an image read anew takes the tiles of another where those are equal", () => {
  const [flat, other] = [new Uint32Array(130 * 10), new Uint32Array(130 * 10).fill(3, 0, 1)];
  const [image, changed] = [flat, other].map((each) => LabelImage.from(each, 130, 10)) as [
    LabelImage,
    LabelImage,
  ];
  const again = LabelImage.from(flat.fill(4, 70, 72), 130, 10);
  expect(again.sharing(changed).changedSince(changed)).toEqual([{ x0: 0, y0: 0, x1: 128, y1: 10 }]);
  expect(again.sharing(changed).equals(again)).toBe(true);
  const equal = LabelImage.from(other.slice(), 130, 10);
  expect(equal.changedSince(changed)).not.toEqual([]);
  expect(equal.sharing(changed).changedSince(changed)).toEqual([]);
  expect(image.sharing(LabelImage.blank(3, 3))).toBe(image);
});

it("an edited image shares the tiles that were not touched", () => {
  const image = LabelImage.from(new Uint32Array(200 * 150), 200, 150);
  const draft = image.draft();
  draft.set(70, 70, 72, 5);
  const edited = draft.finish();
  expect(edited.sharesTiles(image, { x0: 0, y0: 0, x1: 64, y1: 150 })).toBe(true);
  expect(edited.sharesTiles(image, { x0: 0, y0: 0, x1: 65, y1: 64 })).toBe(true);
  expect(edited.sharesTiles(image, { x0: 0, y0: 0, x1: 65, y1: 65 })).toBe(false);
  expect(edited.sharesTiles(image, image.box)).toBe(false);
});

it("changed tiles side by side are one box", () => {
  const image = LabelImage.from(new Uint32Array(200 * 150), 200, 150);
  const draft = image.draft();
  draft.set(0, 60, 70, 5);
  draft.set(149, 0, 1, 5);
  draft.set(149, 190, 200, 5);
  expect(draft.finish().changedSince(image)).toEqual([
    { x0: 0, y0: 0, x1: 128, y1: 64 },
    { x0: 0, y0: 128, x1: 64, y1: 150 },
    { x0: 128, y0: 128, x1: 200, y1: 150 },
  ]);
});

it("a label image of the wrong length is refused", () => {
  expect(() => LabelImage.from([1, 2, 3], 2, 2)).toThrow("expected 4 labels, got 3");
});

it("a table keeps its older versions, whatever its copies change", () => {
  const first = Table.from<string>([
    [1, "a"],
    [300, "b"],
    [4_000_000_000, "c"],
  ]);
  const second = first.with([
    [1, undefined],
    [2, "d"],
  ]);
  expect([...first.entries()]).toEqual([
    [1, "a"],
    [300, "b"],
    [4_000_000_000, "c"],
  ]);
  expect([...second.entries()]).toEqual([
    [2, "d"],
    [300, "b"],
    [4_000_000_000, "c"],
  ]);
  expect([first.size, second.size]).toEqual([3, 3]);
});
