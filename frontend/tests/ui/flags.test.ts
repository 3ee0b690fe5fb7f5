// @vitest-environment jsdom
/** The flags of the image at hand: who raised them, taking them back, and only looking at them. */
import { fireEvent, render, screen, waitFor } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import FlagsPanel from "../../src/ui/components/FlagsPanel.svelte";
import { Editor } from "../../src/ui/editor/editor.svelte";
import EditorBar from "../../src/ui/editor/EditorBar.svelte";
import FlagDialog from "../../src/ui/editor/FlagDialog.svelte";
import { ImageFlags } from "../../src/ui/editor/flags.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { opened } from "./opened";
import { dataset } from "./rows";
import { workOn } from "./visits";

const flag = {
  ...{ id: 4, image: 7, image_name: "mixed_b1_1.tif", note: "Debris?" },
  author: null as string | null,
  ...{ created_at: new Date().toISOString(), resolved_at: null, resolved_by: null },
};
let resolved: () => Response;
let flags: ImageFlags;

beforeEach(async () => {
  localStorage.clear();
  stubDialogs();
  toasts.length = 0;
  resolved = () => json(flag);
  stubFetch(({ method }) =>
    method === "GET" ? json({ next: null, results: [flag] }) : resolved(),
  );
  flags = new ImageFlags({ id: 7, name: "mixed_b1_1.tif" }, 1);
  await flags.load();
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const takeBack = (): Promise<boolean> =>
  fireEvent.click(screen.getByRole("button", { name: "Take it back" }));

function bar(viewOnly: boolean) {
  const editor = new Editor(opened(), viewOnly);
  const flagged = vi.fn();
  const props = { submit: vi.fn(), skip: null, flag: flagged, next: null, flags: flags.open };
  return { flagged, ...render(EditorBar, { editor, work: workOn(editor), ...props }) };
}

it("a flag that could not be taken back says so in the dialog, as an alert", async () => {
  resolved = () => json({ message: "Only managers take flags back.", code: "forbidden" }, 403);
  render(FlagDialog, { flags, manages: true, close: vi.fn() });
  await takeBack();
  expect((await screen.findByRole("alert")).textContent).toBe("Only managers take flags back.");
  expect(toasts).toEqual([]);
  resolved = () => json(flag);
  await takeBack();
  await waitFor(() => {
    expect([flags.open, screen.queryByRole("alert")]).toEqual([[], null]);
  });
});

it("after one was taken back the note has the focus", async () => {
  render(FlagDialog, { flags, manages: true, close: vi.fn() });
  screen.getByRole("button", { name: "Take it back" }).focus();
  await takeBack();
  await waitFor(() => {
    expect(document.activeElement).toBe(screen.getByRole("textbox"));
  });
});

it("whoever left is named by the same words everywhere", async () => {
  const dialog = render(FlagDialog, { flags, manages: false, close: vi.fn() });
  expect(screen.getByText("somebody who left, just now")).toBeDefined();
  dialog.unmount();
  bar(false);
  expect(
    screen.getByRole("button", { name: "Flagged: Debris? (somebody who left)" }),
  ).toBeDefined();
  render(FlagsPanel, { dataset: dataset() });
  expect(await screen.findByText("somebody who left, just now")).toBeDefined();
});

it("who may only look reads the flags, and is not asked for a note", async () => {
  const { flagged, unmount } = bar(true);
  const chip = screen.getByRole<HTMLButtonElement>("button", { name: /^Flagged: Debris/ });
  expect(chip.disabled).toBe(false);
  await fireEvent.click(chip);
  expect(flagged).toHaveBeenCalledOnce();
  unmount();
  const close = vi.fn();
  render(FlagDialog, { flags, manages: false, readOnly: true, close });
  expect(screen.getByText(/Debris\?/)).toBeDefined();
  expect([screen.queryByRole("textbox"), screen.queryByRole("button", { name: "Flag" })]).toEqual([
    null,
    null,
  ]);
  await fireEvent.click(screen.getByRole("button", { name: "Close" }));
  expect(close).toHaveBeenCalledOnce();
});

it("a manager takes flags back where nothing can be changed, and the last leaves a sentence", async () => {
  render(FlagDialog, { flags, manages: true, readOnly: true, close: vi.fn() });
  await takeBack();
  expect(await screen.findByText("mixed_b1_1.tif has no open flag.")).toBeDefined();
  await waitFor(() => {
    expect(document.activeElement?.textContent).toBe("Close");
  });
});
