/** The image that comes next, opened ahead of time. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { QueueItem } from "../../src/api/types";
import { Prefetch } from "../../src/ui/editor/prefetch";
import { json, stubFetch, type Call } from "../api/stubs";

let calls: Call[] = [];
let failing = false;
let predicted = true;
const { signal } = new AbortController();

const queue = [
  { image: { id: 7 }, annotator: "bob" },
  { image: { id: 8 }, annotator: "alice" },
  { image: { id: 9 }, annotator: null },
  { image: { id: 10 }, annotator: null },
];
const leased = (id: number, etag = '"0"') => ({ image: { id }, etag }) as unknown as QueueItem;

function answer({ address }: Call): Response {
  if (address.includes("/queue/")) return json({ results: queue });
  if (failing) return json({ message: "gone" }, 503);
  const headers = { "X-Shape": "1,2", "X-Dtype": "uint16", "X-Prediction": "3" };
  if (address.endsWith("/pixels/") || address.endsWith("/labels/")) {
    return new Response(new Uint16Array([0, 1]), { headers });
  }
  if (address.endsWith("/annotation/")) {
    return json({ revision: 0, cells: [], complete_regions: null });
  }
  if (address.endsWith("/prediction/")) {
    return predicted ? json({ id: 3, cells: [] }) : json({ message: "none" }, 404);
  }
  if (address.includes("/datasets/")) return json({ id: 1, types: [], role: "annotator" });
  return json({
    id: Number(/images\/(\d+)/.exec(address)?.[1]),
    dataset: 1,
    channels: ["nucleus"],
  });
}

beforeEach(() => {
  failing = false;
  predicted = true;
  calls = stubFetch(answer);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const asked = (part: string): number =>
  calls.filter(({ address }) => address.includes(part)).length;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

it("opens the first image that nobody holds, without leasing it", async () => {
  await new Prefetch().lookAhead(1, 7);
  await settle();
  expect(asked("images/9/pixels/")).toBe(1);
  expect(asked("images/9/prediction/labels/")).toBe(1);
  expect(calls.every(({ method }) => method === "GET")).toBe(true);
});

it("gives the opened image without asking again, once", async () => {
  const prefetch = new Prefetch();
  await prefetch.lookAhead(1, 7);
  await settle();
  const before = calls.length;
  expect((await prefetch.open(9, leased(9), signal)).image.id).toBe(9);
  expect(calls).toHaveLength(before);
  await prefetch.open(9, leased(9), signal);
  expect(asked("images/9/pixels/")).toBe(2);
});

it("is missed without harm when the queue hands out another image", async () => {
  const prefetch = new Prefetch();
  await prefetch.lookAhead(1, 7);
  expect((await prefetch.open(10, leased(10), signal)).image.id).toBe(10);
});

it("reads an image again that somebody revised, or that had no prediction", async () => {
  const prefetch = new Prefetch();
  await prefetch.lookAhead(1, 7);
  await prefetch.open(9, leased(9, '"1"'), signal);
  expect(asked("images/9/pixels/")).toBe(2);
  predicted = false;
  await prefetch.lookAhead(1, 7);
  await prefetch.open(9, leased(9), signal);
  expect(asked("images/9/pixels/")).toBe(4);
});

it("reads an image again that was opened long ago", async () => {
  const prefetch = new Prefetch();
  await prefetch.lookAhead(1, 7);
  await settle();
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_600_000 });
  await prefetch.open(9, leased(9), signal);
  expect(asked("images/9/pixels/")).toBe(2);
});

it("reads again what could not be opened", async () => {
  failing = true;
  const prefetch = new Prefetch();
  await prefetch.lookAhead(1, 7);
  await settle();
  failing = false;
  expect((await prefetch.open(9, leased(9), signal)).image.id).toBe(9);
});

it("keeps what it has while the same image is still next", async () => {
  const prefetch = new Prefetch();
  await prefetch.lookAhead(1, 7);
  await prefetch.lookAhead(1, 7);
  await settle();
  expect(asked("images/9/pixels/")).toBe(1);
});
