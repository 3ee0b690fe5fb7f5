// @vitest-environment jsdom
/** What becomes of a leased image that cannot be opened, or whose page is left. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen, waitFor } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dropJournal, journalKey } from "../../src/api/journal";
import { Tabs } from "../../src/api/tabs";
import { deleteCells, select } from "../../src/core/commands";
import CorrectPage from "../../src/ui/editor/CorrectPage.svelte";
import type * as editing from "../../src/ui/editor/editor.svelte";
import type { Editor } from "../../src/ui/editor/editor.svelte";
import * as opening from "../../src/ui/editor/opening";
import { navigation } from "../../src/ui/navigation.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { Channel } from "./channel";
import { stubDialogs } from "./dialogs";
import { item, opened, revision } from "./opened";

const dataset = { ...opened().dataset, role: "annotator" } as never;
const built = vi.hoisted(() => ({ editors: [] as Editor[] }));

vi.mock("../../src/ui/editor/opening", async (original) => ({
  ...(await original<typeof opening>()),
  openImage: vi.fn(),
}));
vi.mock("../../src/ui/editor/editor.svelte", async (original) => {
  const { Editor: Real } = await original<typeof editing>();
  class Noted extends Real {
    constructor(...given: ConstructorParameters<typeof Real>) {
      super(...given);
      built.editors.push(this);
    }
  }
  return { Editor: Noted };
});

class NoResize {
  observe = (): void => undefined;
  disconnect = (): void => undefined;
}

let calls: Call[] = [];
let lease: () => Promise<Response> | Response;
let queued: () => Response;

beforeEach(async () => {
  await dropJournal(journalKey("", 7));
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.stubGlobal("scrollTo", () => undefined);
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  lease = () => json(item);
  queued = () => json({ next: null, previous: null, results: [] });
  calls = stubFetch(({ address }) => {
    if (address.endsWith("/queue/next/")) return lease();
    if (address.includes("/queue/?image=")) return queued();
    if (address.includes("/draft/")) return json({ message: "You have no draft." }, 404);
    if (address.endsWith("/neighbours/")) throw new TypeError("Failed to fetch");
    return json({});
  });
  vi.mocked(opening.openImage).mockReset();
  vi.mocked(opening.openImage).mockResolvedValue(opened({ dataset }));
  built.editors.length = 0;
  toasts.length = 0;
  navigation.go("/datasets/1/correct", { replace: true });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const sent = (): string[] =>
  calls.filter(({ method }) => method === "POST").map(({ address }) => address.slice(8));
const open = (): Promise<HTMLElement> => screen.findByRole("application");

it("an image stays in sight while the next is opened, but takes no input", async () => {
  const { unmount } = render(CorrectPage, { datasetId: 1 });
  const first = await open();
  let answer: (response: Response) => void = () => undefined;
  lease = () => new Promise((resolve) => (answer = resolve));
  await fireEvent.click(screen.getByRole("button", { name: /^Skip/ }));
  await fireEvent.input(screen.getByLabelText("In your words"), { target: { value: "blurred" } });
  await fireEvent.click(screen.getByRole("button", { name: "Skip and go on" }));
  await waitFor(() => {
    expect(first.closest("[aria-busy=true]")).not.toBeNull();
  });
  built.editors[0]?.run(select([2]));
  await fireEvent.keyDown(document.body, { key: "Delete" });
  expect(built.editors[0]?.state.doc.geometry.get(2)).toBeDefined();
  answer(json({ ...item, id: 13 }));
  await waitFor(() => {
    expect(built.editors).toHaveLength(2);
  });
  await waitFor(async () => {
    expect((await open()).closest("[aria-busy=true]")).toBeNull();
  });
  expect(first.isConnected).toBe(false);
  unmount();
  expect(sent().at(-1)).toBe("queue/13/release/");
});

it("A opens the image that the queue handed out before; at the first it says so", async () => {
  const own = { ...opened().dataset, id: 31, role: "annotator" } as never;
  const image = (id: number) =>
    opened({ dataset: own, image: { ...opened().image, id, dataset: own } as never });
  vi.mocked(opening.openImage).mockResolvedValueOnce(image(7)).mockResolvedValue(image(8));
  render(CorrectPage, { datasetId: 31 });
  await open();
  await fireEvent.keyDown(document.body, { key: "a" });
  await waitFor(() => {
    expect(toasts.map(({ text }) => text).join()).toContain("The first image");
  });
  lease = () => json({ ...item, id: 13, image: { ...item.image, id: 8 } });
  await fireEvent.click(screen.getByRole("button", { name: /^Skip/ }));
  await fireEvent.input(screen.getByLabelText("In your words"), { target: { value: "blurred" } });
  await fireEvent.click(screen.getByRole("button", { name: "Skip and go on" }));
  await waitFor(async () => {
    expect(built.editors).toHaveLength(2);
    expect((await open()).closest("[aria-busy=true]")).toBeNull();
  });
  await fireEvent.keyDown(document.body, { key: "a" });
  await waitFor(() => {
    expect(location.pathname).toBe("/images/7");
  });
});

it("an image that is looked at shows what the queue asks about, and reserves nothing", async () => {
  const seen = {
    ...item,
    region: [2, 0, 5, 1],
    minutes: 2,
    reasons: [{ code: "border", text: "the models disagree on a border", value: 1 }],
  };
  queued = () => json({ next: null, previous: null, results: [seen] });
  render(CorrectPage, { imageId: 7, look: true });
  await open();
  expect(calls.map(({ address }) => address)).toContain("/api/v1/datasets/1/queue/?image=7");
  expect(built.editors.at(-1)?.asked.box).toEqual({ x0: 2, y0: 0, x1: 5, y1: 1 });
  expect(screen.getByText("the models disagree on a border", { exact: false })).toBeDefined();
  const panel = screen.getByRole("region", { name: "Region asked about" });
  expect(panel.textContent).toContain("about 2 min");
  expect(screen.queryByRole("button", { name: /^Submit/ })).toBeNull();
  expect(sent()).toEqual([]);
});

it("an image that is looked at opens without the queue's answer too", async () => {
  queued = () => json({ message: "The database is busy.", code: "unavailable" }, 503);
  render(CorrectPage, { imageId: 7, look: true });
  await open();
  expect(built.editors.at(-1)?.asked.box).toBeNull();
});

describe("an image that cannot be opened", () => {
  beforeEach(() => {
    vi.mocked(opening.openImage).mockRejectedValue(new Error("Its file is gone."));
  });

  it("can be skipped with a reason, for the queue to go on", async () => {
    render(CorrectPage, { datasetId: 1 });
    expect((await screen.findByRole("alert")).textContent).toContain("mixed_b1_1.tif");
    await fireEvent.click(screen.getByRole("button", { name: "Skip it" }));
    const reason = screen.getByLabelText("In your words");
    await fireEvent.input(reason, { target: { value: "cannot be opened" } });
    lease = () => json(null);
    await fireEvent.click(screen.getByRole("button", { name: "Skip and go on" }));
    await screen.findByText("Nothing to correct right now");
    expect(sent()).toEqual(["datasets/1/queue/next/", "queue/12/skip/", "datasets/1/queue/next/"]);
    expect(JSON.parse(calls[1]?.body as string)).toEqual({ reason: "cannot be opened" });
    expect(toasts.map(({ text }) => text)).toEqual(["mixed_b1_1.tif skipped: cannot be opened"]);
  });

  it("can be given back", async () => {
    const { unmount } = render(CorrectPage, { datasetId: 1 });
    await fireEvent.click(await screen.findByRole("button", { name: "Give it back" }));
    await waitFor(() => {
      expect(location.pathname).toBe("/datasets/1");
    });
    unmount();
    expect(sent()).toEqual(["datasets/1/queue/next/", "queue/12/release/"]);
  });

  it("is given back when the page is left", async () => {
    const { unmount } = render(CorrectPage, { datasetId: 1 });
    await screen.findByRole("alert");
    unmount();
    expect(sent().at(-1)).toBe("queue/12/release/");
  });
});

describe("leaving", () => {
  it("before the queue has answered gives back what it answers then", async () => {
    let answer: (response: Response) => void = () => undefined;
    lease = () => new Promise((resolve) => (answer = resolve));
    const { unmount } = render(CorrectPage, { datasetId: 1 });
    await waitFor(() => {
      expect(sent()).toHaveLength(1);
    });
    unmount();
    answer(json(item));
    await waitFor(() => {
      expect(sent().at(-1)).toBe("queue/12/release/");
    });
    expect(opening.openImage).not.toHaveBeenCalled();
  });

  it("gives an untouched image back, and keeps one with work in it", async () => {
    const untouched = render(CorrectPage, { datasetId: 1 });
    await open();
    untouched.unmount();
    expect(sent().at(-1)).toBe("queue/12/release/");
    calls.length = 0;
    const touched = render(CorrectPage, { datasetId: 1 });
    await open();
    built.editors.at(-1)?.run(deleteCells(new Set([2])));
    touched.unmount();
    expect(sent()).toEqual(["datasets/1/queue/next/"]);
  });

  it("does not give back what another tab of the browser works on", async () => {
    vi.stubGlobal("BroadcastChannel", Channel);
    const held = { writer: "there", edits: 2, editedAt: 1, revision: 0, kept: true };
    const handOver = () => Promise.resolve(held);
    const stop = new Tabs(journalKey("", 7), "there").start({ held: () => held, handOver });
    const { unmount } = render(CorrectPage, { datasetId: 1 });
    await open();
    expect(await screen.findByRole("dialog", { name: "Open in another tab" })).toBeDefined();
    unmount();
    stop();
    expect(sent()).toEqual(["datasets/1/queue/next/"]);
  });

  it("opened by their addresses too, the next image has the tool of the one before", async () => {
    const { unmount } = render(CorrectPage, { datasetId: 1 });
    await open();
    built.editors.at(-1)?.chooseTool("eraser");
    unmount();
    render(CorrectPage, { imageId: 7 });
    await open();
    expect(built.editors.at(-1)?.tool).toBe("eraser");
  });

  it("by closing the window gives the image back too", async () => {
    render(CorrectPage, { datasetId: 1 });
    await open();
    const fetching = vi.fn(() => Promise.resolve(json({})));
    vi.stubGlobal("fetch", fetching);
    await fireEvent(window, new Event("pagehide"));
    expect(fetching).toHaveBeenCalledWith(
      "/api/v1/queue/12/release/",
      expect.objectContaining({ keepalive: true }),
    );
  });
});

it("the next image asked for without a network is said to be out of reach", async () => {
  render(CorrectPage, { imageId: 7 });
  await open();
  await fireEvent.keyDown(document.body, { key: "d" });
  await waitFor(() => {
    expect(toasts.map(({ tone }) => tone)).toEqual(["bad"]);
  });
});

it("an image reserved for the person is the queue's by its address too", async () => {
  const image = { ...opened().image, status: "leased" };
  vi.mocked(opening.openImage).mockResolvedValue(opened({ dataset, image } as never));
  const answers = globalThis.fetch;
  vi.stubGlobal("fetch", (address: string, init: RequestInit) =>
    address.includes("queue/?mine=true")
      ? Promise.resolve(json({ results: [{ ...item, seconds_left: 1500 }] }))
      : answers(address, init),
  );
  render(CorrectPage, { imageId: 7 });
  await open();
  expect(screen.getByText("25:00")).toBeDefined();
  expect(screen.getByRole("button", { name: "Submit and next" })).toBeDefined();
  await fireEvent.click(screen.getByRole("button", { name: "Skip" }));
  await fireEvent.input(screen.getByLabelText("In your words"), { target: { value: "blurred" } });
  await fireEvent.click(screen.getByRole("button", { name: "Skip and go on" }));
  await waitFor(() => {
    expect(location.pathname).toBe("/datasets/1/correct");
  });
  expect(sent()).toEqual(["queue/12/skip/"]);
});

it("edits made after a submit are not left behind by the key for the next image", async () => {
  render(CorrectPage, { datasetId: 1 });
  await open();
  const [editor] = built.editors;
  editor?.run(deleteCells(new Set([2])));
  lease = () => json({ ...item, id: 13 });
  const answers = globalThis.fetch;
  vi.stubGlobal("fetch", (address: string, init: RequestInit) =>
    address.endsWith("/submit/")
      ? Promise.resolve(json({ annotation: revision(1) }, 201))
      : answers(address, init),
  );
  await fireEvent.keyDown(document.body, { key: "Enter", shiftKey: true });
  await screen.findByRole("button", { name: "Next image" });
  editor?.run(deleteCells(new Set([1])));
  await fireEvent.keyDown(document.body, { key: "d" });
  await waitFor(() => {
    expect(toasts.at(-1)?.text).toMatch(/^Submit what you changed since/);
  });
  expect(built.editors).toHaveLength(1);
});
