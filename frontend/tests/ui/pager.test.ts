import { describe, expect, it } from "vitest";
import { Pager } from "../../src/ui/pager.svelte";
import type { Page } from "../../src/api/types";

const page = (results: number[], next: string | null): Page<number> => ({
  results,
  next,
  previous: null,
});

function pagerOf(first: () => Page<number>, rest: Record<string, Page<number>>) {
  return new Pager<number>(
    () => Promise.resolve(first()),
    (address) => Promise.resolve(rest[address] ?? page([], null)),
  );
}

describe("Pager", () => {
  it("adds pages until there is no next", async () => {
    const pager = pagerOf(() => page([1, 2], "b"), { b: page([3], null) });
    await pager.reload();
    await pager.more();
    await pager.more();
    expect(pager.rows).toEqual([1, 2, 3]);
    expect(pager.next).toBeNull();
  });
  it("refreshes as many rows as are shown, and keeps their place", async () => {
    let first = page([1, 2], "b");
    const rest = { b: page([3, 4], "c"), c: page([5, 6], null) };
    const pager = pagerOf(() => first, rest);
    await pager.reload();
    await pager.more();
    first = page([10, 20], "b");
    await pager.refresh();
    expect(pager.rows).toEqual([10, 20, 3, 4]);
    expect(pager.next).toBe("c");
  });
  it("lets a newer search win over an older one that answers late", async () => {
    const answers: ((value: Page<number>) => void)[] = [];
    const pager = new Pager<number>(() => new Promise((resolve) => answers.push(resolve)));
    const slow = pager.reload();
    const fast = pager.reload();
    answers[1]?.(page([2], null));
    await fast;
    answers[0]?.(page([1], null));
    await slow;
    expect(pager.rows).toEqual([2]);
    expect(pager.loading).toBe(false);
  });
  it("keeps the rows when a read fails, and says why", async () => {
    let broken = false;
    const pager = new Pager<number>(() =>
      broken ? Promise.reject(new Error("Broken.")) : Promise.resolve(page([1], null)),
    );
    await pager.reload();
    broken = true;
    await pager.refresh();
    expect(pager.rows).toEqual([1]);
    expect(pager.error).toBe("Broken.");
  });
});
