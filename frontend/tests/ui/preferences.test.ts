// @vitest-environment jsdom
/** How images are looked at is the same at every computer, and with the server gone. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Editor } from "../../src/ui/editor/editor.svelte";
import type * as preferences from "../../src/ui/editor/preferences";
import { json, stubFetch, type Call } from "../api/stubs";
import { opened } from "./opened";

let page: typeof preferences;
let calls: Call[] = [];
let known: Record<string, unknown> = {};
let down = false;

beforeEach(async () => {
  localStorage.clear();
  vi.useFakeTimers();
  known = {};
  down = false;
  calls = stubFetch(({ method, body }) => {
    if (down) throw new TypeError("Failed to fetch");
    if (method === "PATCH") known = { ...known, ...(JSON.parse(body as string) as object) };
    return json(known);
  });
  await reload();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** The page loaded anew: only the browser's storage and the server remember. */
async function reload(): Promise<void> {
  vi.resetModules();
  page = await import("../../src/ui/editor/preferences");
}
const sent = (): string[] => calls.map(({ method }) => method);

it("the server is asked once, and told once after several changes", async () => {
  known = { palette: "colour-blind", channels: { nucleus: { gamma: 2 } } };
  await page.fetchPreferences(1);
  await page.fetchPreferences(1);
  const read = page.readPreferences(1);
  expect(read).toMatchObject({
    palette: "colour-blind",
    diameter: 12,
    // Kept when a larger gamma was brighter: turned, once.
    channels: { nucleus: { visible: true, exponent: 0.5 } },
  });
  page.keepPreferences(1, { ...read, diameter: 30 });
  page.keepPreferences(1, { ...read, diameter: 31 });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(sent()).toEqual(["GET", "PATCH"]);
  expect(known).toMatchObject({ diameter: 31, palette: "colour-blind" });
  expect(known).toHaveProperty("channels", { nucleus: { visible: true, exponent: 0.5 } });
  await reload();
  expect(page.readPreferences(1).channels).toEqual({ nucleus: { visible: true, exponent: 0.5 } });
});

it("what the server could not be told is kept here, and told at the next visit", async () => {
  down = true;
  page.keepPreferences(1, { ...page.readPreferences(1), diameter: 40 });
  await vi.advanceTimersByTimeAsync(2_000);
  await reload();
  expect(page.readPreferences(1).diameter).toBe(40);
  down = false;
  known = { diameter: 5 };
  await page.fetchPreferences(1);
  await vi.advanceTimersByTimeAsync(10);
  expect(known).toMatchObject({ diameter: 40 });
  expect(page.readPreferences(1).diameter).toBe(40);
});

it("without a server and without storage the defaults serve", async () => {
  down = true;
  vi.spyOn(Storage.prototype, "getItem").mockImplementation(() => {
    throw new Error("forbidden");
  });
  await page.fetchPreferences(1);
  expect(page.readPreferences(1)).toMatchObject({ palette: "fluorescence", channels: {} });
  vi.restoreAllMocks();
});

it("a contrast set by hand stays, an automatic one follows each image", () => {
  vi.useRealTimers();
  const channels = [Uint16Array.of(0, 10, 20, 30, 1000)];
  const image = opened({ raster: { width: 5, height: 1, channels } });
  const editor = new Editor(image, false);
  editor.setChannel(0, { gamma: 2 });
  const brighter = opened({
    raster: { width: 5, height: 1, channels: [Uint16Array.of(0, 10, 20, 30, 4000)] },
  });
  expect(new Editor(brighter, false).channels[0]).toMatchObject({
    gamma: 2,
    contrast: { white: 4000 },
  });
  editor.setChannel(0, { contrast: { black: 5, white: 500 } });
  expect(new Editor(brighter, false).channels[0]?.contrast).toEqual({ black: 5, white: 500 });
});
