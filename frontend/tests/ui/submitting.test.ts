// @vitest-environment jsdom
/** What is asked before an image is handed in, and what the bar offers afterwards. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropJournal, journalKey } from "../../src/api/journal";
import { deleteCells } from "../../src/core/commands";
import { completeRegion, completeWhole } from "../../src/core/completeness";
import { Editor } from "../../src/ui/editor/editor.svelte";
import EditorView from "../../src/ui/editor/EditorView.svelte";
import type { Opened } from "../../src/ui/editor/opening";
import { session } from "../../src/ui/session.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { item, opened, revision } from "./opened";
import { endAll, workOn } from "./visits";

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

let calls: Call[] = [];
let submits: (() => Response)[] = [];

beforeEach(async () => {
  localStorage.clear();
  await dropJournal(journalKey("alice", 7));
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  session.me = { id: 1, username: "alice", is_admin: false } as typeof session.me;
  session.expired = false;
  submits = [];
  calls = stubFetch(({ address, method }) => {
    if (!address.includes("/draft/")) return submits.shift()?.() ?? json(submitted(1), 201);
    if (method === "PUT") return json({ image: 7, base: 0, prediction: 3, saved_at: AT, work: {} });
    return json({ message: "You have no draft." }, 404);
  });
});
afterEach(async () => {
  await endAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const AT = new Date(0).toISOString();
const submitted = (number: number) => ({ annotation: revision(number), ...revision(number) });
const sent = (): Call[] => calls.filter(({ address }) => /(submit|annotation)\/$/.test(address));

function show(leased = true, image: Opened = opened()) {
  const editor = new Editor(image, false);
  const work = workOn(editor, leased);
  const props = { go: vi.fn(), reload: vi.fn(), skip: leased ? vi.fn() : null };
  return { editor, work, ...props, ...render(EditorView, { editor, work, ...props }) };
}
const button = (name: string | RegExp): HTMLElement => screen.getByRole("button", { name });
const press = (name: string | RegExp): Promise<boolean> => fireEvent.click(button(name));
const key = (of: string, more: object): Promise<boolean> =>
  fireEvent.keyDown(document.body, { key: of, ...more });

it("what is changed after a submit is submitted before the next image opens", async () => {
  const { editor, work, rerender } = show();
  editor.run(deleteCells(new Set([2])));
  await work.submit();
  await rerender({ skip: null });
  expect(await screen.findByRole("button", { name: "Next image" })).toBeDefined();
  editor.run(deleteCells(new Set([1])));
  const onwards = await screen.findByRole("button", { name: "Submit and next" });
  expect(screen.queryByRole("button", { name: "Next image" })).toBeNull();
  expect(onwards.classList.contains("primary")).toBe(true);
});

describe("cells without a type", () => {
  const wanted = () => screen.findByRole("dialog", { name: "1 cell has no type" });

  it("are asked about once; they are shown, or submitted all the same", async () => {
    const { editor, work } = show();
    editor.resize({ width: 500, height: 100 });
    await key("Enter", { shiftKey: true });
    await wanted();
    expect(document.activeElement?.textContent).toBe("Show it");
    const dialog = await wanted();
    const explained = document.getElementById(dialog.getAttribute("aria-describedby") ?? "");
    expect(explained?.textContent).toContain("It teaches the models a shape but no type");
    const order = [...dialog.querySelectorAll("input, button")].map((each) => each.textContent);
    expect(order).toEqual(["", "Submit all the same", "Show it"]);
    await press("Show it");
    expect([...editor.state.selection]).toEqual([2]);
    expect([screen.queryByRole("dialog"), sent()]).toEqual([null, []]);
    await key("Enter", { shiftKey: true });
    await wanted();
    await press("Submit all the same");
    await waitFor(() => {
      expect([sent().length, work.submitting]).toEqual([1, false]);
    });
    editor.run(deleteCells(new Set([1])));
    submits = [() => json(submitted(2), 201)];
    await key("Enter", { shiftKey: true });
    await waitFor(() => {
      expect(sent()).toHaveLength(2);
    });
  });

  it("are not asked about any more where nobody wants it", async () => {
    const { unmount } = show();
    await key("Enter", { shiftKey: true });
    await fireEvent.click(within(await wanted()).getByRole("checkbox"));
    await press("Submit all the same");
    unmount();
    const { unmount: leave } = show();
    await key("Enter", { shiftKey: true });
    await waitFor(() => {
      expect(sent()).toHaveLength(2);
    });
    leave();
    // Only the clock moves on: nothing here waits for a timer.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 31 * 24 * 3600 * 1000 });
    show();
    await key("Enter", { shiftKey: true });
    const again = within(await wanted());
    expect(again.getByText("Do not ask again for a month in this data set")).toBeDefined();
    vi.useRealTimers();
  });

  it("are asked about again where they were silenced without an end", async () => {
    localStorage.setItem("cytoloop.unasked.alice.1", '["no type"]');
    show();
    await key("Enter", { shiftKey: true });
    expect(await wanted()).toBeDefined();
  });

  it("are no question in a culture of one type, nor without types", async () => {
    const { image, dataset } = opened();
    for (const over of [
      { image: { ...image, culture: "HEK" } },
      { dataset: { ...dataset, types: [] } },
    ]) {
      const { unmount } = show(true, opened(over));
      await key("Enter", { shiftKey: true });
      await waitFor(() => {
        expect(sent()).toHaveLength(1);
      });
      calls.length = 0;
      unmount();
    }
  });
});

it("an image with nothing complete is marked whole by Enter, and submitted", async () => {
  const { dataset } = opened();
  const { editor } = show(true, opened({ dataset: { ...dataset, types: [] } }));
  editor.run(completeWhole(false));
  await key("Enter", { shiftKey: true });
  await screen.findByRole("dialog", { name: "Nothing is marked complete" });
  expect(document.activeElement?.textContent).toBe("Mark the whole image and submit");
  await press("Mark the whole image and submit");
  await waitFor(() => {
    expect(sent()).toHaveLength(1);
  });
  const form = sent()[0]?.body as FormData;
  expect(JSON.parse(form.get("document") as string)).toMatchObject({ complete_regions: null });
});

describe("an image that is complete in parts", () => {
  const part = (): Opened => {
    const { dataset, doc } = opened();
    const regions = [{ x0: 0, y0: 0, x1: 3, y1: 1 }];
    const head = { annotation: { ...revision(1), complete_regions: [[0, 0, 3, 1]] }, etag: '"1"' };
    const over = { dataset: { ...dataset, types: [] }, doc: { ...doc, regions }, head };
    return opened(over as unknown as Partial<Opened>);
  };
  const complete = (): unknown => {
    const form = sent()[0]?.body as FormData;
    const document = JSON.parse(form.get("document") as string) as Record<string, unknown>;
    return document["complete_regions"];
  };

  it("is asked about when the rest was worked on", async () => {
    const { editor } = show(false, part());
    editor.run(deleteCells(new Set([2])));
    await key("Enter", { shiftKey: true });
    const name = "Is the rest of the image complete too?";
    const dialog = await screen.findByRole("dialog", { name });
    expect(dialog.textContent).toContain("The models learn nothing from");
    await press("Mark the whole image and submit");
    await waitFor(() => {
      expect(sent()).toHaveLength(1);
    });
    expect(complete()).toBeNull();
  });

  it("is not where what is complete was worked on, or other regions are marked", async () => {
    for (const [label, more] of [
      [1, []],
      [2, [completeRegion({ x0: 3, y0: 0, x1: 5, y1: 1 })]],
    ] as const) {
      const { editor, unmount } = show(false, part());
      for (const command of [deleteCells(new Set([label])), ...more]) editor.run(command);
      await key("Enter", { shiftKey: true });
      await waitFor(() => {
        expect(sent()).toHaveLength(1);
      });
      expect(complete()).toContainEqual([0, 0, 3, 1]);
      calls.length = 0;
      unmount();
      await endAll();
      await dropJournal(journalKey("alice", 7));
    }
  });
});

it("without the lease the same is asked before an image is submitted all the same", async () => {
  const { dataset } = opened();
  const { editor, work } = show(true, opened({ dataset: { ...dataset, types: [] } }));
  editor.run(deleteCells(new Set([2])));
  editor.run(completeWhole(false));
  work.lease.lose("It is in the hands of bob.");
  await screen.findByRole("button", { name: "Submit as a revision anyway" });
  await press("Submit as a revision anyway");
  await screen.findByRole("dialog", { name: "Nothing is marked complete" });
  expect(sent()).toHaveLength(0);
  await press("Mark the whole image and submit");
  await waitFor(() => {
    expect(work.revision).toBe(1);
  });
});

it("signed out, submitting asks for the password, and goes on by itself", async () => {
  const { dataset } = opened();
  const { editor, work } = show(true, opened({ dataset: { ...dataset, types: [] } }));
  const signedOut = (): Response =>
    json(
      { message: "Authentication credentials were not provided.", code: "not_authenticated" },
      403,
    );
  submits = [signedOut];
  editor.run(deleteCells(new Set([2])));
  await key("Enter", { shiftKey: true });
  await screen.findByRole("dialog", { name: "Your sign-in has expired" });
  await press("Later");
  expect(screen.queryByText(/Not submitted/)).toBeNull();
  expect(screen.getByText(/You are signed out/)).toBeDefined();
  await key("Enter", { shiftKey: true });
  const dialog = await screen.findByRole("dialog", { name: "Your sign-in has expired" });
  await fireEvent.input(within(dialog).getByLabelText("Password"), { target: { value: "x" } });
  submits = [
    () => json({ id: 1, username: "alice", is_admin: false }),
    () => json({ ...item, seconds_left: 1800 }),
  ];
  await press("Sign in and go on");
  await waitFor(() => {
    expect([screen.queryByText(/You are signed out/), work.revision]).toEqual([null, 1]);
  });
  expect(work.lease.unreachable).toBe(false);
});
