import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CellGroup, NamedCrop } from "../../src/api/cells";
import { Crops } from "../../src/ui/gallery/crops.svelte";
import { CellRows, type CellRow } from "../../src/ui/gallery/rows";
import { gallery } from "./gallery";

const rows = new CellRows(gallery(4, 50));
const cells = (from: number, to: number): CellRow[] =>
  Array.from({ length: to - from }, (_, step) => rows.at(from + step)).flatMap((row) => row ?? []);

describe("pictures", () => {
  let asked: CellGroup[][] = [];
  let fails = false;

  const read = async (groups: readonly CellGroup[]): Promise<NamedCrop[]> => {
    asked.push([...groups]);
    await Promise.resolve();
    if (fails) throw new Error("The storage is down.");
    return groups.flatMap(({ image, labels }) =>
      labels
        .filter((label) => label !== 50)
        .map((label) => ({ image, label, picture: "x", outline: "M0 0Z", side: 30 })),
    );
  };
  const count = (): number => asked.flat().reduce((sum, { labels }) => sum + labels.length, 0);

  beforeEach(() => {
    vi.useFakeTimers();
    asked = [];
    fails = false;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("come in small batches, each once, the first first", async () => {
    const crops = new Crops(read);
    crops.want(cells(0, 90));
    await vi.runAllTimersAsync();
    expect(asked.length).toBe(3);
    expect(asked[0]?.[0]?.labels[0]).toBe(1);
    expect(count()).toBe(90);
    crops.want(cells(0, 100));
    await vi.runAllTimersAsync();
    expect(count()).toBe(100);
    expect(crops.get(cells(0, 1)[0] as CellRow)?.side).toBe(30);
    // One that the server does not have is not asked for again and again.
    expect(crops.get(cells(49, 50)[0] as CellRow)).toBeNull();
  });

  it("of tiles that were scrolled past are not asked for", async () => {
    const crops = new Crops(read);
    crops.want(cells(0, 30));
    crops.want(cells(100, 130));
    await vi.runAllTimersAsync();
    expect(asked.flat().map(({ image }) => image)).toEqual([3]);
  });

  it("are made anew when others change the image, not when we do", async () => {
    const crops = new Crops(read);
    const [cell] = cells(0, 1) as [CellRow];
    crops.follow(cell.image);
    crops.want([cell]);
    await vi.runAllTimersAsync();
    crops.follow({ ...cell.image, revision: 1 }, true);
    expect(crops.get(cell)?.side).toBe(30);
    crops.follow({ ...cell.image, revision: 1 });
    expect(crops.get(cell)?.side).toBe(30);
    crops.follow({ ...cell.image, revision: 2 });
    expect(crops.get(cell)).toBeUndefined();
  });

  it("are asked for of a few images at a time", async () => {
    const many = new CellRows(gallery(40, 1));
    const crops = new Crops(read);
    crops.want(Array.from({ length: 40 }, (_, at) => many.at(at)).flatMap((row) => row ?? []));
    await vi.runAllTimersAsync();
    expect(asked.map((groups) => groups.length)).toEqual([16, 16, 8]);
    // Cells of images that are asked for anyway come along.
    const twos = new CellRows(gallery(40, 2));
    asked = [];
    const places = [...Array.from({ length: 17 }, (_, image) => 2 * image), 1];
    new Crops(read).want(places.flatMap((at) => twos.at(at) ?? []));
    await vi.runAllTimersAsync();
    expect(asked.map((groups) => groups.length)).toEqual([16, 1]);
    expect(asked[0]?.[0]?.labels).toEqual([1, 2]);
  });

  it("on their way of an image that others change meanwhile are not kept", async () => {
    let send: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (send = resolve));
    const [cell] = cells(0, 1) as [CellRow];
    const crops = new Crops(async (groups) => {
      const revised = (groups[0]?.revision ?? 0) > 0;
      if (!revised) await late;
      return [{ image: 1, label: 1, picture: "x", outline: "", side: revised ? 2 : 1 }];
    });
    crops.follow(cell.image);
    crops.want([cell]);
    await vi.advanceTimersByTimeAsync(100);
    const image = { ...cell.image, revision: 5 };
    crops.follow(image);
    crops.want([{ ...cell, image }]);
    await vi.advanceTimersByTimeAsync(100);
    expect(crops.get(cell)?.side).toBe(2);
    send();
    await vi.advanceTimersByTimeAsync(100);
    expect(crops.get(cell)?.side).toBe(2);
  });

  it("that cannot be had are said once and asked for again on demand", async () => {
    const crops = new Crops(read);
    fails = true;
    crops.want(cells(0, 5));
    await vi.runAllTimersAsync();
    expect(crops.error).toBe("The storage is down.");
    expect(asked.length).toBe(1);
    fails = false;
    crops.retry();
    await vi.runAllTimersAsync();
    expect(crops.error).toBeNull();
    expect(crops.get(cells(0, 1)[0] as CellRow)?.side).toBe(30);
  });
});
