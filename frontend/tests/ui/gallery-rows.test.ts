import { describe, expect, it } from "vitest";
import { CellRows, groupsOf, partsOf } from "../../src/ui/gallery/rows";
import { gallery } from "./gallery";

const answer = (revisions: [image: number, revision: number][], moved: number[] = []) => ({
  revisions: revisions.map(([image, revision]) => ({ id: 10 * image, image, revision })),
  unchanged: [],
  moved: moved.map((image) => ({ image, message: "It was changed." })),
});

describe("rows of the gallery", () => {
  it("say what the columns say", () => {
    const rows = new CellRows(gallery(2, 3, { uncertainty: [900, 5, -1, 0, 0, 0] }));
    expect(rows.count).toBe(6);
    expect(rows.at(4)).toMatchObject({ label: 2, type: "HEK", answered: false, mark: "" });
    expect(rows.at(4)?.image.name).toBe("image2.tif");
    expect([0, 1, 2].map((at) => rows.at(at)?.uncertainty)).toEqual([0.9, 0.005, null]);
    expect(rows.at(6)).toBeNull();
    expect(rows.at(-1)).toBeNull();
    expect(rows.find(2, 3)).toBe(5);
    expect(rows.find(3, 1)).toBe(-1);
  });

  it("go to the server by image, and remember what became of them", () => {
    const rows = new CellRows(gallery(2, 3));
    const groups = rows.groups([0, 2, 4]);
    expect(groups.map(({ cells }) => cells)).toEqual([
      { image: 1, revision: 0, prediction: 100, labels: [1, 3] },
      { image: 2, revision: 0, prediction: 101, labels: [2] },
    ]);
    rows.note(groups, { verdict: "retyped", type: "N2a" }, answer([[1, 1]], [2]));
    expect(rows.at(0)).toMatchObject({ type: "N2a", answered: true, mark: "retyped" });
    // The image that had moved on is as it was.
    expect(rows.at(4)).toMatchObject({ type: "HEK", answered: false, mark: "" });
    // The next change stands on the revision that this one made.
    expect(rows.groups([0, 4]).map(({ cells }) => cells.revision)).toEqual([1, 0]);
  });

  it("lose their type where they get none", () => {
    const rows = new CellRows(gallery(1, 2));
    const groups = rows.groups([0]);
    rows.note(groups, { verdict: "retyped", type: null }, answer([[1, 1]]));
    expect(rows.at(0)?.type).toBeNull();
  });

  it("that were rejected are not sent again", () => {
    const rows = new CellRows(gallery(1, 3));
    const groups = rows.groups([0]);
    rows.note(groups, { verdict: "rejected", type: null }, answer([[1, 1]]));
    expect(rows.at(0)?.mark).toBe("rejected");
    expect(rows.groups([0, 1])[0]?.cells.labels).toEqual([2]);
    expect(rows.groups([0])).toEqual([]);
  });

  it("are sent some images and some cells at a time", () => {
    const many = new CellRows(gallery(45, 1));
    const places = Array.from({ length: 45 }, (_, at) => at);
    expect(partsOf(many.groups(places)).map((part) => part.length)).toEqual([20, 20, 5]);
    const large = new CellRows(gallery(3, 3000));
    const all = Array.from({ length: 9000 }, (_, at) => at);
    expect(partsOf(large.groups(all)).map((part) => part.length)).toEqual([1, 1, 1]);
    expect(partsOf([])).toEqual([]);
  });

  it("are asked for as pictures by image", () => {
    const rows = new CellRows(gallery(2, 2));
    const cells = [3, 0, 2].flatMap((at) => rows.at(at) ?? []);
    expect(groupsOf(cells)).toEqual([
      { image: 2, revision: 0, prediction: 101, labels: [2, 1] },
      { image: 1, revision: 0, prediction: 100, labels: [1] },
    ]);
  });
});
