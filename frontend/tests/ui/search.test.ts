// @vitest-environment jsdom
import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SearchDetail, Trial } from "../../src/api/types";
import { linear } from "../../src/ui/chart";
import HistoryPlot from "../../src/ui/components/HistoryPlot.svelte";
import ParallelPlot from "../../src/ui/components/ParallelPlot.svelte";
import SearchPanel from "../../src/ui/components/SearchPanel.svelte";
import {
  axes,
  bestSoFar,
  crossings,
  ranks,
  scoreRange,
  searchSentence,
  shortNumber,
  stepPath,
  trialSentence,
} from "../../src/ui/search";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { dataset } from "./rows";

function trial(number: number, value: number | null, over: Partial<Trial> = {}): Trial {
  return {
    number,
    state: value === null ? "waiting" : "done",
    params: value === null ? null : { learning_rate: 1e-3, batch_size: 8 },
    value,
    scores: value === null ? [] : [value],
    metrics: { ap50: 0.7 },
    message: "",
    started_at: null,
    finished_at: null,
    ...over,
  };
}

function search(trials: Trial[], over: Partial<SearchDetail> = {}): SearchDetail {
  return {
    id: 3,
    dataset: 1,
    family: "segmenter",
    status: "searching",
    message: "",
    requested_by: "alice",
    base: "scratch",
    wanted: 4,
    over: trials.filter(({ value }) => value !== null).length,
    minutes: 5,
    space: {
      learning_rate: { low: 1e-4, high: 1e-2, log: true, step: 0 },
      batch_size: { choices: [4, 8, 16] },
    },
    best: 2,
    run: null,
    candidate: null,
    created_at: "2026-02-03T10:00:00Z",
    started_at: null,
    finished_at: null,
    trials,
    ...over,
  };
}

const FOUR = [trial(3, -0.9, { state: "pruned" }), trial(1, -0.4), trial(2, -0.3), trial(4, null)];

describe("the history of a search", () => {
  it("keeps the best of the finished trials, in their order", () => {
    const better = trial(4, -0.1, { state: "pruned" });
    expect(bestSoFar([...FOUR.slice(0, 3), better])).toEqual([
      [1, -0.4],
      [2, -0.3],
    ]);
  });
  it("draws the best as steps that go on to the newest trial", () => {
    const same = linear([0, 1], [0, 1]);
    const points = [
      [1, 5],
      [3, 8],
    ] as const;
    expect(stepPath(points, 4, same, same)).toBe("M1.0,5.0H3.0V8.0H4.0");
    expect(stepPath([], 4, same, same)).toBe("");
  });
  it("does not let one bad trial press the good ones into a line", () => {
    const [low, high] = scoreRange([
      trial(1, -0.4),
      trial(2, -0.3),
      trial(3, -50, { state: "pruned" }),
    ]);
    expect(low).toBeCloseTo(-0.5);
    expect(high).toBeGreaterThan(-0.3);
    expect(scoreRange([])[0]).toBeLessThan(scoreRange([])[1]);
    expect(scoreRange([trial(1, -0.4)])[0]).toBe(-0.4);
  });
});

describe("the axes of the settings", () => {
  it("are logarithmic where the search is, and have a tick for each choice", () => {
    const [rate, batch] = axes(search(FOUR));
    expect(rate?.place(1e-3)).toBeCloseTo(0.5);
    expect(rate?.ticks.map(({ text }) => text)).toEqual(["1e−4", "0.01"]);
    expect(batch?.ticks.map(({ place, text }) => [place, text])).toEqual([
      [0, "4"],
      [0.5, "8"],
      [1, "16"],
    ]);
  });
  it("end with the score, and a trial without one has no line", () => {
    const along = axes(search(FOUR));
    expect(along.map(({ name }) => name)).toEqual(["learning rate", "batch size", "score"]);
    const at = crossings(trial(1, -0.3), along);
    expect(at?.slice(0, 2)).toEqual([expect.closeTo(0.5), 0.5]);
    expect(crossings(trial(4, null), along)).toBeNull();
  });
  it("rank the trials from worst to best", () => {
    expect([...ranks(FOUR)]).toEqual([
      [3, 0],
      [1, 0.5],
      [2, 1],
    ]);
    expect([...ranks([trial(1, 5)])]).toEqual([[1, 1]]);
  });
});

describe("words", () => {
  it("are short and have true minus signs", () => {
    expect([0, 224, 0.0021, 0.00001534, -0.31236].map(shortNumber)).toEqual([
      "0",
      "224",
      "0.0021",
      "1.53e−5",
      "−0.312",
    ]);
    expect(trialSentence(trial(2, -0.3))).toBe(
      "Trial 2 · done · score −0.3 · learning rate 0.001, batch size 8",
    );
    expect(trialSentence(trial(4, null))).toBe("Trial 4 · waiting");
    expect(searchSentence(search(FOUR))).toBe("3 of 4 trials are over.");
    expect(searchSentence(search(FOUR, { message: "Said." }))).toBe("Said.");
  });
});

/** jsdom measures nothing. */
class NoResize {
  observe = (): void => undefined;
  unobserve = (): void => undefined;
  disconnect = (): void => undefined;
}
beforeEach(() => {
  vi.stubGlobal("ResizeObserver", NoResize);
  stubDialogs();
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the plots", () => {
  it("are read trial by trial with the arrow keys", async () => {
    render(HistoryPlot, { search: search(FOUR), chosen: null });
    const plot = screen.getByRole("img", { name: "Validation score of each trial" });
    await fireEvent.keyDown(plot, { key: "ArrowLeft" });
    expect(screen.getByText(/^Trial 3 · pruned/)).toBeDefined();
    await fireEvent.keyDown(plot, { key: "ArrowLeft" });
    expect(screen.getByText(/^Trial 2 · done/)).toBeDefined();
    await fireEvent.keyDown(plot, { key: "Escape" });
    expect(screen.getByText(/Higher is better/)).toBeDefined();
  });
  it("draw each scored trial once, the best in its own colour and the pruned dashed", () => {
    const { container } = render(ParallelPlot, { search: search(FOUR), chosen: null });
    const lines = [...container.querySelectorAll("path")];
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => line.classList.contains("top"))).toHaveLength(1);
    expect(lines.filter((line) => line.hasAttribute("stroke-dasharray"))).toHaveLength(1);
    expect(lines.every((line) => !line.getAttribute("d")?.includes("NaN"))).toBe(true);
  });
});

describe("the panel", () => {
  let kept: SearchDetail[] = [];
  let asked: Call[] = [];

  function answer(call: Call): Response {
    asked.push(call);
    const { method, address, body } = call;
    if (method === "POST" && address === "/api/v1/searches/") {
      if ((JSON.parse(body as string) as { trials: number }).trials === 3) {
        return json({ message: "Search 3 already looks.", code: "conflict" }, 409);
      }
      kept = [search([trial(1, null)], { status: "queued" })];
      return json(kept[0], 201);
    }
    if (address.endsWith("/cancel/")) kept = [search(FOUR, { status: "cancelled" })];
    if (address.startsWith("/api/v1/searches/?")) {
      return json({ next: null, previous: null, results: kept });
    }
    return json(kept[0]);
  }
  beforeEach(() => {
    kept = [];
    asked = [];
    stubFetch(answer);
  });

  it("starts a search, and says in the dialog why it cannot", async () => {
    render(SearchPanel, { dataset: dataset(), changed: () => undefined });
    await fireEvent.click(screen.getByRole("button", { name: "Start a search" }));
    const dialog = within(screen.getByRole("dialog", { hidden: true }));
    await fireEvent.input(dialog.getByLabelText("Trials"), { target: { value: "3" } });
    const start = dialog.getByText("Start search");
    await fireEvent.click(start);
    expect(await dialog.findByText("Search 3 already looks.")).toBeDefined();
    await fireEvent.input(dialog.getByLabelText("Trials"), { target: { value: "9" } });
    await fireEvent.click(start);
    expect(await screen.findByText("The search waits for a free trainer.")).toBeDefined();
    const sent = asked.filter(({ method }) => method === "POST").at(-1);
    expect(JSON.parse(sent?.body as string)).toEqual({
      dataset: 1,
      family: "segmenter",
      trials: 9,
      minutes: 5,
    });
  });

  it("shows the best settings beside the usual ones, and cancels", async () => {
    kept = [search(FOUR)];
    render(SearchPanel, { dataset: dataset(), changed: () => undefined });
    const table = await screen.findByRole("table", {
      name: "The best settings beside the usual ones",
    });
    const rows = within(table).getAllByRole("row");
    expect(rows.map((row) => row.querySelector("th")?.textContent.trim())).toEqual([
      "Setting",
      "Best (trial 2)",
      "Usual (trial 1)",
    ]);
    await fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(await screen.findByText("cancelled")).toBeDefined();
  });

  it("reads a search while it moves, and one that is over only when the list has news", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    const reads = (): number => asked.filter(({ address }) => address.endsWith("/3/")).length;
    kept = [search(FOUR)];
    const changed = vi.fn();
    render(SearchPanel, { dataset: dataset(), changed });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(reads()).toBe(3);
    kept = [search(FOUR, { status: "done", run: 5 })];
    await vi.advanceTimersByTimeAsync(8_000);
    expect(changed).toHaveBeenCalledOnce();
    const before = reads();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(reads()).toBe(before);
    kept = [search(FOUR, { status: "done", run: 5, candidate: "segmenter-3" })];
    await vi.advanceTimersByTimeAsync(20_000);
    expect(screen.getByText("segmenter-3")).toBeDefined();
    expect(reads()).toBe(before + 1);
    vi.useRealTimers();
  });

  it("is not there for a viewer of a data set without a search", async () => {
    const { container } = render(SearchPanel, {
      dataset: dataset({}, { role: "viewer" }),
      changed: () => undefined,
    });
    await vi.waitFor(() => {
      expect(asked.length).toBeGreaterThan(0);
    });
    expect(container.querySelector("section")).toBeNull();
  });
});
