// @vitest-environment jsdom
/** The explained queue: why images wait, filters, the heat, choosing one. */
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { QueueItem } from "../../src/api/types";
import { heat } from "../../src/ui/heat.svelte";
import { navigation } from "../../src/ui/navigation.svelte";
import QueuePage from "../../src/ui/pages/QueuePage.svelte";
import { session } from "../../src/ui/session.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { dataset } from "./rows";

const QUEUE = "/api/v1/datasets/1/queue/";

function item(id: number, over: Partial<QueueItem> = {}): QueueItem {
  return {
    id,
    image: {
      id: 10 * id,
      name: `mixed_b1_00${id}.tif`,
      split: "train",
      culture: "mixed",
      width: 200,
      height: 100,
      cells: 32,
      uncertainty: 0.63,
      thumbnail: `/api/v1/images/${10 * id}/thumbnail/`,
    },
    score: 0.8,
    reasons: [{ code: "border", text: "the models disagree on the border of 12 cells", value: 12 }],
    region: null,
    minutes: 4.2,
    heat: `/api/v1/images/${10 * id}/heat/?prediction=3`,
    annotator: null,
    leased_until: null,
    seconds_left: null,
    etag: '"0"',
    draft: false,
    ...over,
  } as unknown as QueueItem;
}

let rows: QueueItem[] = [];
let next: string | null = null;
let takes: (() => Response)[] = [];
let calls: Call[] = [];
let countable = true;
/** What a list waits for. */
let held: Promise<void> | null = null;
let release: () => void = () => undefined;

beforeEach(() => {
  stubDialogs();
  vi.stubGlobal("scrollTo", () => undefined);
  localStorage.clear();
  toasts.length = 0;
  heat.show(true);
  session.me = { id: 1, username: "alice", is_admin: false } as typeof session.me;
  navigation.go("/datasets/1/queue", { replace: true });
  [rows, next, takes, countable, held] = [[item(1), item(2)], null, [], true, null];
  calls = stubFetch(async ({ address, method }) => {
    if (address.includes("/queue/reasons/")) {
      if (!countable) return json({ message: "The database is busy.", code: "unavailable" }, 503);
      const reasons = [
        { code: "border", count: 2 },
        { code: "type", count: 1 },
      ];
      return json({ open: 2, held: 1, reasons });
    }
    if (address.endsWith("/take/")) return takes.shift()?.() ?? json(item(1));
    if (method === "POST") return json({});
    if (address.includes("mine=true")) {
      const results = rows.filter(({ annotator }) => annotator === "alice");
      return json({ next: null, previous: null, results });
    }
    await held;
    const page = { next, previous: null, results: rows };
    next = null;
    return json(page);
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const asked = (): string[] =>
  calls.map(({ address }) => address).filter((address) => /queue\/(\?|$)/.test(address));
const show = (role: "annotator" | "viewer" = "annotator") =>
  render(QueuePage, { dataset: dataset({}, { role }), reload: vi.fn() });
const card = (number: number): Promise<HTMLElement> =>
  screen.findByRole("article", { name: `mixed_b1_00${number}.tif` });

describe("a queued image", () => {
  it("says why it waits, how long it will take and how unsure the models are", async () => {
    show();
    const shown = await card(1);
    expect(shown.textContent).toContain("the models disagree on the border of 12 cells");
    expect(shown.textContent).toContain("about 4 min");
    expect(shown.textContent.replaceAll("\u00a0", " ")).toContain(
      "32 cells · 63 % uncertain · score 0.80",
    );
  });

  it("is looked at without being changed by Open", async () => {
    show();
    const open = within(await card(1)).getByRole("link", { name: /^Open/ });
    expect(open.getAttribute("href")).toBe("/images/10?look");
  });

  it("shows the region that is asked about on its picture", async () => {
    rows = [item(1, { region: [20, 10, 60, 50] })];
    show();
    const frame = within(await card(1)).getByRole("img", { name: "The region asked about" });
    expect(frame.getAttribute("viewBox")).toBe("0 0 200 100");
    const { x, y, width, height } = Object.fromEntries(
      [...(frame.querySelector("rect")?.attributes ?? [])].map(({ name, value }) => [name, value]),
    );
    expect([x, y, width, height]).toEqual(["20", "10", "40", "40"]);
    expect((await card(1)).textContent).toContain("region 40 × 40 px");
  });

  it("says who has it, who cannot take it then", async () => {
    rows = [item(1, { annotator: "bob", seconds_left: 600 }), item(2, { annotator: "alice" })];
    show();
    const theirs = await card(1);
    expect(theirs.textContent).toContain("with bob, 10 min left");
    const button = within(theirs).getByRole("button", { name: "Correct this one" });
    expect((button as HTMLButtonElement).disabled).toBe(true);
    expect(within(await card(2)).getByRole("button", { name: "Go on with it" })).toBeDefined();
  });

  it("is only to be looked at by a viewer", async () => {
    show("viewer");
    await card(1);
    expect(screen.queryByRole("button", { name: "Correct this one" })).toBeNull();
    expect(screen.queryByRole("link", { name: "Correct the next one" })).toBeNull();
  });
});

describe("the heat", () => {
  const heats = (): HTMLElement[] => screen.queryAllByAltText("Where the models are unsure");

  it("lies over the pictures, fades and goes; an image without a prediction has none", async () => {
    rows = [item(1), item(2, { heat: null })];
    const { unmount } = show();
    await card(2);
    expect(heats().map((img) => img.getAttribute("src"))).toEqual([
      "/api/v1/images/10/heat/?prediction=3",
    ]);
    const opacity = screen.getByRole("slider", { name: "Opacity of the heat" });
    await fireEvent.input(opacity, { target: { value: "0.4" } });
    expect(heats()[0]?.style.opacity).toBe("0.4");
    await fireEvent.click(screen.getByRole("checkbox", { name: "Heat" }));
    expect(heats()).toEqual([]);
    unmount();
    show();
    await card(1);
    expect(heats(), "kept off").toEqual([]);
  });

  it("that cannot be drawn leaves the picture, until there is another prediction", async () => {
    const { rerender } = show();
    await card(1);
    await fireEvent.error(heats()[0] as HTMLElement);
    expect(heats()).toHaveLength(1);
    expect((await card(1)).querySelector("img")).not.toBeNull();
    rows = [item(1, { heat: "/api/v1/images/10/heat/?prediction=4" }), item(2)];
    await rerender({ dataset: dataset({ predicted: 9 }) });
    await waitFor(() => {
      expect(heats()).toHaveLength(2);
    });
  });
});

describe("filter and order", () => {
  it("by reasons, counted, ask the server and stay in the address", async () => {
    show();
    await card(1);
    const group = screen.getByRole("group", { name: "Reasons" });
    await fireEvent.click(within(group).getByRole("button", { name: "Border 2" }));
    await fireEvent.click(within(group).getByRole("button", { name: "Type 1" }));
    await waitFor(() => {
      expect(asked().at(-1)).toBe(`${QUEUE}?reason=border&reason=type`);
    });
    expect(location.search).toBe("?reason=border&reason=type");
    await fireEvent.change(screen.getByLabelText("Order"), { target: { value: "minutes" } });
    await waitFor(() => {
      expect(asked().at(-1)).toBe(`${QUEUE}?reason=border&reason=type&sort=minutes`);
    });
    await fireEvent.click(screen.getByRole("button", { name: "Show all" }));
    await waitFor(() => {
      expect(asked().at(-1)).toBe(`${QUEUE}?sort=minutes`);
    });
  });

  it("of an address are those the page begins with", async () => {
    navigation.go("/datasets/1/queue?reason=type&split=test", { replace: true });
    show();
    await card(1);
    expect(asked()).toEqual([`${QUEUE}?reason=type&split=test`]);
    const chosen = screen.getByRole("button", { name: "Type 1" });
    expect(chosen.getAttribute("aria-pressed")).toBe("true");
    expect((screen.getByLabelText("Split") as HTMLSelectElement).value).toBe("test");
  });

  it("a reason of an image is a way to the others with it", async () => {
    show();
    await fireEvent.click(within(await card(1)).getByRole("button", { name: "Border" }));
    await waitFor(() => {
      expect(asked().at(-1)).toBe(`${QUEUE}?reason=border`);
    });
  });

  it("that leave nothing say so and can be let go", async () => {
    navigation.go("/datasets/1/queue?reason=gone", { replace: true });
    rows = [];
    show();
    await screen.findByText("Nothing in the queue matches");
    expect(screen.getByRole("button", { name: "Gone 0" })).toBeDefined();
    rows = [item(1)];
    await fireEvent.click(screen.getAllByRole("button", { name: "Show all" })[0] as HTMLElement);
    await card(1);
  });
});

it("images that another filter asked for look passing until the new ones are there", async () => {
  show();
  await card(1);
  const list = (): Element | null => document.querySelector(".list");
  expect(list()?.getAttribute("aria-busy")).toBe("false");
  held = new Promise((resolve) => (release = resolve));
  await fireEvent.change(screen.getByLabelText("Split"), { target: { value: "test" } });
  expect(list()?.getAttribute("aria-busy")).toBe("true");
  release();
  await waitFor(() => {
    expect(list()?.getAttribute("aria-busy")).toBe("false");
  });
});

it("says when the reasons cannot be counted, and counts them when asked to", async () => {
  countable = false;
  show();
  await card(1);
  expect((await screen.findByRole("alert")).textContent).toContain("The database is busy.");
  countable = true;
  await fireEvent.click(screen.getByRole("button", { name: /again/i }));
  expect(await screen.findByRole("button", { name: "Border 2" })).toBeDefined();
  expect(screen.queryByRole("alert")).toBeNull();
});

it("reads on where the list goes on", async () => {
  next = `http://x${QUEUE}?cursor=abc`;
  show();
  await card(2);
  rows = [item(3)];
  await fireEvent.click(screen.getByRole("button", { name: "Load more" }));
  await card(3);
  expect(await card(1)).toBeDefined();
  expect(screen.queryByRole("button", { name: "Load more" })).toBeNull();
});

describe("choosing an image", () => {
  const choose = async (number: number): Promise<void> => {
    const button = within(await card(number)).getByRole("button", { name: "Correct this one" });
    await fireEvent.click(button);
  };

  it("leases it and opens the editor", async () => {
    show();
    await choose(2);
    await waitFor(() => {
      expect(location.pathname).toBe("/datasets/1/correct");
    });
    const taken = calls.find(({ method }) => method === "POST");
    expect(taken?.address).toBe("/api/v1/queue/2/take/");
  });

  it("that somebody took meanwhile is said, and the list read again", async () => {
    takes = [() => json({ message: "It is in the hands of bob.", code: "conflict" }, 409)];
    show();
    await choose(1);
    await waitFor(() => {
      expect(toasts.map(({ text }) => text)).toEqual(["It is in the hands of bob."]);
    });
    await waitFor(() => {
      expect(asked().length).toBeGreaterThan(1);
    });
    expect(location.pathname).toBe("/datasets/1/queue");
  });

  it("that is gone is no reason to give back what is held", async () => {
    rows = [item(1), item(2, { annotator: "alice", seconds_left: 900 })];
    takes = [() => json({ message: "It is in the hands of bob.", code: "conflict" }, 409)];
    show();
    await choose(1);
    await waitFor(() => {
      expect(toasts.map(({ text }) => text)).toEqual(["It is in the hands of bob."]);
    });
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("while another is held offers to give that back first", async () => {
    rows = [item(1), item(2, { annotator: "alice", seconds_left: 900 })];
    takes = [() => json({ message: "You hold another.", code: "holds_another" }, 409)];
    show();
    await choose(1);
    const dialog = await screen.findByRole("dialog", { name: "You hold another image" });
    expect(dialog.textContent).toContain("mixed_b1_002.tif");
    await fireEvent.click(within(dialog).getByRole("button", { name: /^Give it back/ }));
    await waitFor(() => {
      expect(location.pathname).toBe("/datasets/1/correct");
    });
    const posts = calls.filter(({ method }) => method === "POST").map(({ address }) => address);
    expect(posts).toEqual([
      "/api/v1/queue/1/take/",
      "/api/v1/queue/2/release/",
      "/api/v1/queue/1/take/",
    ]);
  });
});
