// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { borrowSurface, giveBack } from "../../src/render/surface";

const calls: string[] = [];
const image = { width: 2, height: 1, channels: [new Uint8Array(2)] };
let lost = false;
let flags: number[] = [];

/** A card that takes everything and notes what it was asked. */
function card(): unknown {
  const named: Record<string, unknown> = {
    isContextLost: () => lost,
    getParameter: () => 8192,
    getShaderParameter: () => true,
    getProgramParameter: () => true,
    getError: () => flags.shift() ?? 0,
    NO_ERROR: 0,
    OUT_OF_MEMORY: 0x505,
    getExtension: () => ({ loseContext: () => calls.push("loseContext") }),
  };
  const noted = (name: string) => () => calls.push(name);
  return new Proxy(named, { get: (_, name: string) => named[name] ?? noted(name) });
}

beforeEach(() => {
  vi.useFakeTimers();
  lost = false;
  flags = [];
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(card as never);
});
afterEach(() => {
  vi.runAllTimers();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A surface that has shown an image, and what the card said of it. */
function used() {
  const surface = borrowSurface();
  surface.renderer.setImage(image);
  surface.renderer.check();
  return surface;
}

it("the next image is drawn where the last one was, which is wiped out before", () => {
  const first = used();
  calls.length = 0;
  giveBack(first);
  expect(calls).toContain("clear");
  expect(calls).not.toContain("loseContext");
  expect(borrowSurface()).toBe(first);
  expect(borrowSurface()).not.toBe(first);
});

it("what the browser took away is not lent again", () => {
  const first = used();
  giveBack(first);
  lost = true;
  expect(borrowSurface()).not.toBe(first);
});

it("one is kept, and not for long", () => {
  const [first, second] = [used(), used()];
  giveBack(first);
  calls.length = 0;
  giveBack(second);
  expect(calls).toContain("loseContext");
  calls.length = 0;
  vi.runAllTimers();
  expect(calls).toContain("loseContext");
  expect(borrowSurface()).not.toBe(first);
});

it("one that refused an image, or was not asked yet, is not lent: its error would be the next's", () => {
  const refused = borrowSurface();
  refused.renderer.setImage(image);
  flags = [0x505, 0x502];
  expect(() => {
    refused.renderer.check();
  }).toThrow(/too little free memory/);
  giveBack(refused);
  const unasked = borrowSurface();
  expect(unasked).not.toBe(refused);
  unasked.renderer.setImage(image);
  giveBack(unasked);
  expect(borrowSurface()).not.toBe(unasked);
});
