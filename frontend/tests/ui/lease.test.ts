// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Lease } from "../../src/ui/editor/lease.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { item } from "./opened";

let beats: Call[] = [];
let stop: () => void = () => undefined;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function begin(seconds: number): Lease {
  beats = stubFetch(() => json({ ...item, seconds_left: seconds }));
  const lease = new Lease({ ...item, seconds_left: seconds });
  stop = lease.start();
  return lease;
}

/** So many seconds, with a hand at work or not. */
async function pass(lease: Lease, seconds: number, working: boolean): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    if (working) lease.touch();
    await vi.advanceTimersByTimeAsync(1_000);
  }
}

it("a short lease is renewed every third of it, a long one every minute", async () => {
  await pass(begin(60), 60, true);
  expect(beats.length).toBe(3);
  stop();
  await pass(begin(1_800), 180, true);
  expect(beats.length).toBe(3);
});

it("who is away for longer than a lease lets it run out, and takes it up again when back", async () => {
  const lease = begin(120);
  await pass(lease, 120, false);
  const renewed = beats.length;
  await pass(lease, 300, false);
  expect(beats.length).toBe(renewed);
  expect(lease.secondsLeft).toBe(0);
  await pass(lease, 2, true);
  expect(beats.length).toBe(renewed + 1);
  expect(lease.secondsLeft).toBeGreaterThan(100);
});

it("an image in other hands blocks until it is given up; an expired sign-in does not", async () => {
  const lease = begin(60);
  const answers = [
    json({ message: "Sign in.", code: "not_authenticated" }, 403),
    json({ message: "It is in the hands of bob.", code: "conflict" }, 409),
  ];
  stubFetch(() => answers.shift() ?? json(item));
  await pass(lease, 20, true);
  expect([lease.blocking, lease.held, lease.unreachable]).toEqual([false, true, false]);
  await pass(lease, 20, true);
  expect([lease.blocking, lease.lost]).toEqual([true, "It is in the hands of bob."]);
  lease.giveUp();
  expect([lease.blocking, lease.held]).toEqual([false, false]);
});
