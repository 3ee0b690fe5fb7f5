// @vitest-environment jsdom
/** What the gallery shows, what is selected in it, and what keys change. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Gallery } from "../../src/api/types";
import { GalleryState } from "../../src/ui/gallery/gallery.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { gallery } from "./gallery";

const HEK = { verdict: "retyped", type: "HEK" } as const;
let calls: Call[] = [];
/** What the list says; a function where a test holds it back. */
let listed: () => Gallery | Promise<Gallery>;
let moved: number[] = [];
let changes: () => Promise<void> = () => Promise.resolve();

const changed = (): number[][] =>
  calls
    .filter(({ address }) => address.endsWith("/change/"))
    .map(({ body }) => (JSON.parse(body as string) as { images: { labels: number[] }[] }).images)
    .map((images) => images.flatMap(({ labels }) => labels));
const lists = (): number => calls.filter(({ method }) => method === "GET").length;
const reversed = (): Gallery => {
  const list = gallery(1, 4);
  return { ...list, label: list.label.toReversed(), type: list.type.toReversed() };
};

beforeEach(() => {
  toasts.length = 0;
  listed = () => gallery(1, 4);
  moved = [];
  changes = () => Promise.resolve();
  calls = stubFetch(async ({ address, method }) => {
    if (address.endsWith("/crops/")) return json({ crops: [] });
    if (method === "GET") return json(await listed());
    await changes();
    const gone = moved.map((image) => ({ image, message: "image1.tif was changed." }));
    const revisions = moved.length > 0 ? [] : [{ id: 9, image: 1, revision: 1 }];
    return json({ revisions, unchanged: [], moved: gone });
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

async function shown(): Promise<GalleryState> {
  const state = new GalleryState(1);
  await state.reload();
  return state;
}

describe("another list", () => {
  it("is not changed before it is there: keys would hit cells that are about to go", async () => {
    const state = await shown();
    let answer: (list: Gallery) => void = () => undefined;
    listed = () => new Promise((resolve) => (answer = resolve));
    state.ask({ sort: "type" });
    expect(state.stale).toBe(true);
    await state.change(HEK);
    state.nearest();
    expect(state.query.sort).toBe("type");
    await vi.waitFor(() => {
      expect(lists()).toBe(2);
    });
    answer(reversed());
    await vi.waitFor(() => {
      expect(state.stale).toBe(false);
    });
    await state.change(HEK);
    expect(changed()).toEqual([[4]]);
  });

  it("that cannot be had stays untouchable, and comes when it is tried again", async () => {
    const state = await shown();
    listed = () => Promise.reject(new TypeError("Failed to fetch"));
    state.ask({ sort: "type" });
    await vi.waitFor(() => {
      expect(state.error).not.toBeNull();
    });
    await state.change(HEK);
    expect(changed()).toEqual([]);
    listed = () => gallery(1, 4);
    await state.reload();
    expect([state.stale, state.error]).toEqual([false, null]);
  });

  it("begins at its first cell, with nothing selected", async () => {
    const state = await shown();
    state.selection = { chosen: new Set([1, 2]), focus: 2, anchor: 1 };
    listed = reversed;
    state.ask({ sort: "type" });
    await vi.waitFor(() => {
      expect(state.stale).toBe(false);
    });
    expect(state.selection).toEqual({ chosen: new Set(), focus: 0, anchor: 0 });
  });

  it("keeps what is selected while it is waited for, as far as it is there", async () => {
    const state = await shown();
    const arrive = async (
      list: Gallery,
      sort: "type" | "image",
      pressed: number[],
    ): Promise<void> => {
      let answer: (list: Gallery) => void = () => undefined;
      listed = () => new Promise((resolve) => (answer = resolve));
      const before = lists();
      state.ask({ sort });
      await vi.waitFor(() => {
        expect(lists()).toBe(before + 1);
      });
      const last = pressed.at(-1) ?? 0;
      state.selection = { chosen: new Set(pressed), focus: last, anchor: last };
      answer(list);
      await vi.waitFor(() => {
        expect(state.stale).toBe(false);
      });
    };
    await arrive(reversed(), "type", [1]);
    expect(state.selection).toEqual({ chosen: new Set([2]), focus: 2, anchor: 2 });
    // The fourth cell, the first in the list, is gone.
    await arrive(gallery(1, 3), "image", [2, 0]);
    expect(state.selection).toEqual({ chosen: new Set([1]), focus: 1, anchor: 1 });
    await arrive(gallery(1, 1), "type", [1]);
    expect(state.selection).toEqual({ chosen: new Set(), focus: 0, anchor: 0 });
  });
});

describe("the list that is read again", () => {
  it("keeps the same cells selected, wherever they are now", async () => {
    const state = await shown();
    state.selection = { chosen: new Set([0, 1]), focus: 1, anchor: 0 };
    listed = reversed;
    moved = [1];
    await state.change(HEK);
    expect(state.selection).toEqual({ chosen: new Set([3, 2]), focus: 2, anchor: 3 });
    expect(toasts[0]?.text).toContain("Left alone: image1.tif was changed.");
  });

  it("is read once more where it was read before a change was through", async () => {
    const state = await shown();
    let through: () => void = () => undefined;
    changes = () => new Promise((resolve) => (through = resolve));
    const changing = state.change(HEK);
    // The server reads the list while it still has the cells as they were.
    state.ask({ sort: "type" });
    await vi.waitFor(() => {
      expect(state.stale).toBe(false);
    });
    listed = () => gallery(1, 4, { type: [1, 1, 1, 1] });
    through();
    await changing;
    expect(lists()).toBe(3);
    expect(state.at(0)?.type).toBe("N2a");
  });

  it("is not read again after a change that went through", async () => {
    const state = await shown();
    await state.change(HEK);
    expect(lists()).toBe(1);
    expect(state.at(0)).toMatchObject({ type: "HEK", mark: "retyped" });
  });
});
