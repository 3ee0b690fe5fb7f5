// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { mayBeElsewhere, noteOpen } from "../../src/api/openTabs";

beforeEach(() => {
  localStorage.clear();
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it("another tab may have an image until it closes it or its page goes", () => {
  expect(mayBeElsewhere("alice/7", "here")).toBe(false);
  const close = noteOpen("alice/7", "there");
  expect(mayBeElsewhere("alice/7", "here")).toBe(true);
  expect(mayBeElsewhere("alice/7", "there")).toBe(false);
  expect(mayBeElsewhere("alice/70", "here")).toBe(false);
  window.dispatchEvent(new Event("pagehide"));
  expect(mayBeElsewhere("alice/7", "here")).toBe(false);
  window.dispatchEvent(new Event("pageshow"));
  expect(mayBeElsewhere("alice/7", "here")).toBe(true);
  close();
  expect(mayBeElsewhere("alice/7", "here")).toBe(false);
});

it("a tab that crashed is forgotten after a week, and one that is open for longer is not", () => {
  vi.useFakeTimers();
  noteOpen("alice/7", "crashed");
  vi.clearAllTimers();
  const close = noteOpen("alice/8", "there");
  vi.advanceTimersByTime(8 * 24 * 3600_000);
  expect(mayBeElsewhere("alice/7", "here")).toBe(false);
  expect(mayBeElsewhere("alice/8", "here")).toBe(true);
  close();
});

it("where storage is forbidden the other tabs are asked", () => {
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new Error("forbidden");
  });
  vi.stubGlobal("localStorage", undefined);
  noteOpen("alice/7", "there")();
  expect(mayBeElsewhere("alice/7", "here")).toBe(true);
  vi.unstubAllGlobals();
});

it("where storage is full the other tabs are asked", () => {
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  const close = noteOpen("alice/7", "there");
  expect(mayBeElsewhere("alice/7", "here")).toBe(true);
  close();
});
