// @vitest-environment jsdom
import { flushSync } from "svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { resource, type Resource } from "../../src/ui/resource.svelte";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Runs `make` as a component would; returns what it made and the way out. */
function mounted<T>(make: () => T): [T, () => void] {
  let made: T | undefined;
  const leave = $effect.root(() => {
    made = make();
  });
  flushSync();
  return [made as T, leave];
}

it("an object polled again does not restart what was read for its id", async () => {
  let dataset = $state.raw({ id: 1, queued: 5 });
  const read = vi.fn((id: number) => Promise.resolve(`of ${id}`));
  const [of, leave] = mounted(() => resource(() => dataset.id, read));
  dataset = { id: 1, queued: 4 };
  flushSync();
  await vi.advanceTimersByTimeAsync(1);
  expect(read).toHaveBeenCalledTimes(1);
  dataset = { id: 2, queued: 4 };
  flushSync();
  await vi.advanceTimersByTimeAsync(1);
  expect(read).toHaveBeenCalledTimes(2);
  expect(of.value).toBe("of 2");
  leave();
});

it("a slow answer arrives although what the key came from is replaced meanwhile", async () => {
  let files = $state.raw(["a.tif"]);
  let dataset = $state.raw({ id: 1 });
  const read = (): Promise<string> =>
    new Promise((resolve) => setTimeout(resolve, 9_000, "preview"));
  const [preview, leave] = mounted(() => resource(() => [dataset.id, files], read));
  for (let poll = 0; poll < 2; poll++) {
    await vi.advanceTimersByTimeAsync(5_000);
    dataset = { id: 1 };
    files = ["a.tif"];
    flushSync();
  }
  expect(preview.value).toBe("preview");
  expect(preview.loading).toBe(false);
  leave();
});

it("reads again by itself, and keeps the old object when nothing is new", async () => {
  let count = 3;
  const read = vi.fn(() => Promise.resolve({ count }));
  const [counts, leave]: [Resource<{ count: number }>, () => void] = mounted(() =>
    resource(() => null, read, { every: 5_000 }),
  );
  await vi.advanceTimersByTimeAsync(1);
  const first = counts.value;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(read).toHaveBeenCalledTimes(2);
  expect(counts.value).toBe(first);
  count = 4;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(counts.value).toEqual({ count: 4 });
  leave();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(read).toHaveBeenCalledTimes(3);
});
