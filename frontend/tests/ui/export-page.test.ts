// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Export } from "../../src/api/types";
import ExportPage from "../../src/ui/pages/ExportPage.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { dataset } from "./rows";

const ROW = {
  ...{ id: 3, dataset: 1, format: "coco", source: "revisions", split: "", status: "queued" },
  ...{ message: "", images: 2, cells: 40, created_at: "2026-02-03T10:00:00Z", finished_at: null },
  ...{ url: "/api/v1/exports/3/", download: null },
} as Export;
const DONE: Export = { ...ROW, status: "done", download: "/api/v1/exports/3/download/" };

let calls: Call[];
let looks: (() => Response)[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  looks = [];
  calls = stubFetch(({ method }) =>
    method === "POST" ? json(ROW, 202) : (looks.shift() ?? (() => json(ROW)))(),
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(seconds * 1_000);

async function ask() {
  const shown = render(ExportPage, { dataset: dataset() });
  await fireEvent.click(screen.getByRole("button", { name: "Export" }));
  await pass(0);
  return shown;
}

it("a look that fails is said, and is not the end of the watch; the file is", async () => {
  looks = [() => json({ message: "The server restarts.", code: "down" }, 503), () => json(DONE)];
  await ask();
  expect(screen.getByText("queued")).toBeDefined();
  await pass(1);
  expect(screen.getByText("The server restarts.")).toBeDefined();
  await pass(1);
  expect(screen.queryByText("The server restarts.")).toBeNull();
  expect(screen.getByText("40 cells in 2 images")).toBeDefined();
  const link = screen.getByRole("link", { name: "Download" });
  expect(link.getAttribute("href")).toBe(DONE.download);
  await pass(10);
  expect(calls).toHaveLength(3);
});

it("an export that is gone is not looked for again, nor one whose page was left", async () => {
  looks = [() => json({ message: "There is no export 3.", code: "not_found" }, 404)];
  const { unmount } = await ask();
  await pass(5);
  expect(screen.getByText("There is no export 3.")).toBeDefined();
  expect(calls).toHaveLength(2);
  unmount();
  const left = await ask();
  await pass(1);
  const before = calls.length;
  left.unmount();
  await pass(5);
  expect(calls).toHaveLength(before);
});
