// @vitest-environment jsdom
/** Work that neither the browser nor the server can keep stays in its tab, and is not replaced. */
import "fake-indexeddb/auto";
import { render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { assignType } from "../../src/core/commands";
import ElsewhereDialog from "../../src/ui/editor/ElsewhereDialog.svelte";
import { Channel } from "./channel";
import { stubDialogs } from "./dialogs";
import { FakeServer } from "./server";
import { comeBack, endAll, erase, forgetAll, labelsOf } from "./visits";

let server: FakeServer;
let stops: (() => void)[] = [];

beforeEach(async () => {
  await forgetAll();
  stubDialogs();
  Channel.all.clear();
  vi.stubGlobal("BroadcastChannel", Channel);
  server = new FakeServer();
});
afterEach(async () => {
  for (const stop of stops) stop();
  stops = [];
  vi.restoreAllMocks();
  await endAll();
  vi.unstubAllGlobals();
});

async function tab() {
  const visit = await comeBack();
  stops.push(visit.work.sharing.start());
  return visit;
}

function fillDisk(): void {
  vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementation(() => {
    throw new Error("The disk is full.");
  });
}

async function unkept() {
  const first = await tab();
  server.down = true;
  fillDisk();
  erase(first.editor, 2);
  await first.work.draftNow();
  expect(first.work.atRisk).toBe(true);
  vi.restoreAllMocks();
  return { first, second: await tab() };
}

it("another tab is told to submit it there, and cannot take it", async () => {
  const { first, second } = await unkept();
  const held = second.work.sharing.elsewhere;
  if (held === null) throw new Error("nothing is open elsewhere");
  render(ElsewhereDialog, { work: second.work, held, goOnHere: vi.fn() });
  expect(screen.getByRole("dialog").textContent).toContain("Submit it there first.");
  expect(screen.queryByRole("button", { name: "Go on here" })).toBeNull();
  await expect(second.work.goOnHere()).rejects.toThrow("Submit it there first.");
  expect([first.editor.readOnly, labelsOf(first.editor)]).toEqual([false, [1]]);
});

it("taken back by the tab that has it, it is still there", async () => {
  const first = await tab();
  const second = await tab();
  expect(first.work.locked).toBe("window");
  // As where the disk fills while the image is handed over.
  server.down = true;
  fillDisk();
  first.work.recorder.taken = false;
  erase(first.editor, 2);
  first.editor.run(assignType([1], "N2a"));
  await first.work.draftNow();
  first.work.recorder.taken = true;
  expect(first.work.atRisk).toBe(true);
  expect(await first.work.goOnHere()).toBe(true);
  expect([first.work.locked, labelsOf(first.editor)]).toEqual([null, [1]]);
  expect(second.work.locked).toBe("window");
});
