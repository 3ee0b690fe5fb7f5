// @vitest-environment jsdom
/** The gallery's page: what keys and the pointer do, and whose keys they are. */
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CellDetail, Gallery, Place, Question } from "../../src/api/types";
import { navigation } from "../../src/ui/navigation.svelte";
import GalleryPage from "../../src/ui/pages/GalleryPage.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { gallery, place, question } from "./gallery";
import { dataset } from "./rows";

let calls: Call[] = [];
let listed: () => Gallery | Promise<Gallery>;
let asked: Place[] = [];
let terms: Question["terms"] = {};
let model = true;
let detail: CellDetail | null = null;

class NoResize {
  observe = (): void => undefined;
  unobserve = (): void => undefined;
  disconnect = (): void => undefined;
}

beforeEach(() => {
  stubDialogs();
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.stubGlobal("scrollTo", () => undefined);
  HTMLElement.prototype.setPointerCapture = () => undefined;
  vi.spyOn(Element.prototype, "clientWidth", "get").mockReturnValue(400);
  vi.spyOn(Element.prototype, "clientHeight", "get").mockReturnValue(300);
  listed = () => gallery(1, 4);
  asked = [];
  terms = { border: 0.6 };
  model = true;
  detail = null;
  toasts.length = 0;
  navigation.go("/datasets/1/gallery", { replace: true });
  calls = stubFetch(({ address, method }) => {
    if (address.endsWith("/crops/")) return json({ crops: [] });
    if (address.endsWith("/places/next/")) return json({ places: asked, lease_minutes: 30 });
    if (address.endsWith("/places/answers/")) {
      return json({ revisions: [{ id: 8, image: 1, revision: 1 }], answered: [5], refused: [] });
    }
    if (address.endsWith("/next/") && !model) {
      return json({ message: "Train a segmenter first.", code: "not_ready" }, 409);
    }
    if (address.endsWith("/next/")) {
      return json({
        questions: [1, 2, 3].map((cell) => question(cell, { terms })),
        lease_minutes: 30,
      });
    }
    if (address.endsWith("/answers/")) {
      return json({ revisions: [{ id: 9, image: 1, revision: 1 }], answered: [1], refused: [] });
    }
    if (address.endsWith("/change/")) {
      return json({ revisions: [{ id: 9, image: 1, revision: 1 }], unchanged: [], moved: [] });
    }
    if (detail && /images\/\d+\/cells\/\d+\/$/.test(address)) return json(detail);
    if (method === "GET" && /cells\/\?/.test(address)) return Promise.resolve(listed()).then(json);
    return json({ message: "Not here." }, 404);
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const sent = (path: string): unknown[] =>
  calls
    .filter(({ address }) => address.endsWith(path))
    .map(({ body }) => JSON.parse(body as string) as unknown);
const press = (key: string, held: KeyboardEventInit = {}): Promise<boolean> =>
  fireEvent.keyDown(document.activeElement ?? document.body, { key, ...held });

async function show(): Promise<HTMLElement> {
  render(GalleryPage, { dataset: dataset({}, { role: "annotator" }) });
  return screen.findByRole("listbox", { name: "Cells" });
}
async function ask(): Promise<HTMLElement> {
  navigation.go("/datasets/1/gallery?ask", { replace: true });
  render(GalleryPage, { dataset: dataset({}, { role: "annotator" }) });
  return screen.findByRole("status", { name: "The cell in question" });
}

describe("the list of cells", () => {
  it("gets the keys, though a field had the focus when a button was clicked", async () => {
    const list = await show();
    screen.getByLabelText("Order").focus();
    const button = screen.getByRole("button", { name: /^HEK/ });
    // The browser would give the button the focus, and Enter would press it.
    expect(await fireEvent.mouseDown(button)).toBe(false);
    expect(document.activeElement).toBe(list);
    await press("Enter");
    await waitFor(() => {
      expect(sent("/change/")).toMatchObject([{ verdict: "accepted" }]);
    });
  });

  it("scrolls by a finger without selecting what the finger was on", async () => {
    const list = await show();
    await fireEvent.pointerDown(list, { button: 0, clientX: 60, clientY: 10 });
    await fireEvent.pointerCancel(list, { clientX: 60, clientY: 60 });
    expect(screen.queryByText("1 cell selected")).toBeNull();
    await fireEvent.pointerDown(list, { button: 0, clientX: 60, clientY: 10 });
    await fireEvent.pointerUp(list, { clientX: 60, clientY: 10 });
    expect(within(list).getByRole("option", { selected: true })).toBeDefined();
  });

  it("stays where it is when its pictures become smaller", async () => {
    listed = () => gallery(4, 100);
    const list = await show();
    list.scrollTop = 3060;
    await fireEvent.scroll(list);
    const seen = (): number[] =>
      within(list)
        .getAllByRole("option")
        .map((each) => Number(each.getAttribute("aria-posinset")));
    // Three in a row of 102 px: the 31st row is at the top, two more rows above it are ready.
    expect(seen()[0]).toBe(1 + 3 * 28);
    await fireEvent.input(screen.getByLabelText("Size of the pictures"), {
      target: { value: "56" },
    });
    expect(list.scrollTop).toBe(62 * 15); // six in a row of 62 px
    await fireEvent.scroll(list);
    expect(seen()).toContain(91);
    expect(seen()[0]).toBe(1 + 6 * 13);
  });

  it("says of a rejected cell that it is gone, and does not look for it", async () => {
    await show();
    await press("x");
    const panel = screen.getByRole("complementary", { name: "The cell in focus" });
    await waitFor(() => {
      expect(panel.textContent).toContain("Rejected: there is no cell. U takes that back.");
    });
    // Longer than a cell is rested on before it is looked up.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(within(panel).queryByRole("alert")).toBeNull();
  });

  it("says of a cell in the usual doubt that no doubt stands out", async () => {
    detail = {
      ...{ type: "HEK", type_source: "model", area: 300, centroid: [9, 9], committee: true },
      ...{ score: 0.97, uncertainty: 0.02, terms: { edge: 0.7 }, seen_by: "both" },
      probabilities: {},
    };
    await show();
    const panel = screen.getByRole("complementary", { name: "The cell in focus" });
    expect(await within(panel).findByText("no doubt stands out")).toBeDefined();
  });

  it("gives types beyond the ninth too", async () => {
    const types = Array.from({ length: 11 }, (_, at) => ({
      ...{ id: at, name: `type ${at + 1}`, index: at, color: "#0ff" },
    }));
    render(GalleryPage, { dataset: dataset({}, { role: "annotator", types }) });
    await screen.findByRole("listbox", { name: "Cells" });
    const others = screen.getByLabelText<HTMLSelectElement>("Another type");
    others.focus();
    await fireEvent.change(others, { target: { value: "type 11" } });
    await waitFor(() => {
      expect(sent("/change/")).toMatchObject([{ verdict: "retyped", type: "type 11" }]);
    });
    expect([others.value, document.activeElement]).toEqual(["", document.body]);
  });

  it("leaves Alt and the arrows to the browser", async () => {
    await show();
    expect(await press("ArrowRight", { altKey: true })).toBe(true);
    expect(await press("ArrowRight")).toBe(false);
  });

  it("shows what was selected while it was waited for, wherever that is now", async () => {
    listed = () => gallery(4, 100);
    const list = await show();
    let answer: (list: Gallery) => void = () => undefined;
    listed = () => new Promise((resolve) => (answer = resolve));
    const order = screen.getByLabelText<HTMLSelectElement>("Order");
    await fireEvent.change(order, { target: { value: "type" } });
    await fireEvent.pointerDown(list, { button: 0, clientX: 60, clientY: 10 });
    await fireEvent.pointerUp(list, { clientX: 60, clientY: 10 });
    const first = gallery(4, 100);
    answer({ ...first, image: first.image.toReversed(), label: first.label.toReversed() });
    await screen.findByText("1 cell selected");
    await waitFor(() => {
      expect(list.scrollTop).toBeGreaterThan(100 * 102);
    });
    await fireEvent.scroll(list);
    const chosen = within(list).getByRole("option", { selected: true });
    expect(chosen.getAttribute("aria-posinset")).toBe("400");
  });

  it("says that others are read, and takes no key for those that go", async () => {
    await show();
    let answer: (list: Gallery) => void = () => undefined;
    listed = () => new Promise((resolve) => (answer = resolve));
    const order = screen.getByLabelText<HTMLSelectElement>("Order");
    await fireEvent.change(order, { target: { value: "type" } });
    expect(screen.getByText("Reading the cells…")).toBeDefined();
    await fireEvent.keyDown(document.body, { key: "x" });
    answer(gallery(1, 4));
    await waitFor(() => {
      expect(screen.queryByText("Reading the cells…")).toBeNull();
    });
    expect(sent("/change/")).toEqual([]);
  });
});

describe("a cell one is asked about", () => {
  it("is answered by Enter though another was clicked before", async () => {
    const card = await ask();
    const second = screen.getByRole("button", { name: /cell 2 of/ });
    expect(await fireEvent.mouseDown(second)).toBe(false);
    await fireEvent.click(second);
    expect(card.textContent).toContain("#2");
    await press("Enter");
    expect(card.textContent).toContain("#3");
    expect(screen.getByText("1 answer", { exact: false })).toBeDefined();
  });

  it("is the only one that a held key answers", async () => {
    const card = await ask();
    await press("Enter");
    await press("Enter", { repeat: true });
    await press("Enter", { repeat: true });
    expect(card.textContent).toContain("#2");
  });

  it("is opened in the editor with what was answered before", async () => {
    const replace = vi.fn();
    vi.stubGlobal("open", () => ({ location: { replace } }));
    await ask();
    await press("Enter");
    expect(sent("/answers/")).toEqual([]);
    await press("e");
    await waitFor(() => {
      expect(sent("/answers/")).toHaveLength(1);
    });
    await waitFor(() => {
      expect(replace).toHaveBeenCalledWith("/images/1?cell=2&prediction=100");
    });
  });

  it("stays open where the browser blocks the editor's tab, which is told", async () => {
    vi.stubGlobal("open", () => null);
    const card = await ask();
    await press("e");
    expect(toasts.map(({ text }) => text)).toEqual([
      "The browser blocked the editor's tab; allow pop-ups of this page.",
    ]);
    expect(card.textContent).toContain("#1");
    expect(screen.getByRole("button", { name: /cell 1 of .*, open$/ })).toBeDefined();
  });

  it("may be one that no model drew: its outline is accepted, typed or rejected", async () => {
    asked = [place(5)];
    vi.stubGlobal("open", () => ({ location: { replace: vi.fn() } }));
    const card = await ask();
    expect(card.textContent).toContain("Is a cell missing here?");
    expect(card.textContent).toContain("it looks like a cell (60 %)");
    expect(card.textContent).toContain("at 12, 31 px");
    await press("1");
    expect(card.textContent).toContain("#1");
    await press("e");
    await waitFor(() => {
      expect(sent("/places/answers/")).toEqual([
        expect.objectContaining({ answers: [{ place: 5, verdict: "retyped", type: "HEK" }] }),
      ]);
    });
  });

  it("comes with its reasons, or with why it is asked about where the models are sure", async () => {
    const { textContent } = await ask();
    expect(textContent).toContain("the models disagree on the border");
    cleanup();
    terms = { border: 0.1 };
    const card = await ask();
    expect(card.textContent).toContain("it lies beside a cell in question");
    expect(card.textContent).not.toContain("disagree");
  });

  it("comes by itself once there is a model; before, the page says so calmly", async () => {
    model = false;
    navigation.go("/datasets/1/gallery?ask", { replace: true });
    const none = dataset({ predicted: 0 }, { versions: { segmenter: null, detector: null } });
    const { rerender } = render(GalleryPage, { dataset: none });
    await screen.findByText("No model yet");
    const link = screen.getByRole("link", { name: "Go to training" });
    expect(link.getAttribute("href")).toBe("/datasets/1/training");
    expect(screen.queryByRole("alert")).toBeNull();
    model = true;
    await rerender({ dataset: dataset() });
    await screen.findByRole("status", { name: "The cell in question" });
  });

  it("is not skipped by Ctrl and S, nor left for another by the browser's way back", async () => {
    const card = await ask();
    expect(await press("s", { ctrlKey: true })).toBe(true);
    expect(await press("ArrowRight", { altKey: true })).toBe(true);
    expect(card.textContent).toContain("#1");
    await press("s");
    expect(card.textContent).toContain("#2");
  });
});
