// @vitest-environment jsdom
import { fireEvent, render, screen, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CurvePoint, FamilyCurve, Fit, LearningCurve, Work } from "../../src/api/types";
import LearningPanel from "../../src/ui/components/LearningPanel.svelte";
import {
  choices,
  learningDomain,
  learningSeries,
  stopName,
  verdicts,
  type Choice,
} from "../../src/ui/learning";
import { json, stubFetch } from "../api/stubs";
import { dataset } from "./rows";

const AT = "2026-02-03T10:00:00Z";
const SENTENCE = "100 more cells would bring about +0.012 AP (0.004 … 0.020).";

/** A version measured on test sets: `on` has its AP on each. */
function point(
  number: number,
  cells: number,
  minutes: number | null,
  on: Record<string, number>,
): CurvePoint {
  return {
    version: `segmenter-${number}`,
    created_at: AT,
    annotated_cells: cells,
    images: 5,
    minutes,
    revisions: 5,
    untimed: minutes === null ? 5 : 0,
    measured: Object.entries(on).map(([test_set, value]) => ({
      test_set,
      ap50: { value, low: value - 0.05, high: value + 0.05 },
      type_accuracy: null,
    })),
  };
}

function fit(over: Partial<Fit> = {}): Fit {
  const ends = { value: 0.012, low: 0.004, high: 0.02 };
  const drawn = [100, 200, 300, 400].map((cells) => ({
    cells,
    minutes: cells / 10,
    value: 0.6 + cells / 2000,
    low: 0.55,
    high: 0.9,
  }));
  return {
    figure: "ap50",
    sentence: SENTENCE,
    curve: {
      test_set: "new",
      versions: 3,
      level: 0.9,
      rate: 2,
      power: 0.5,
      verdict: "helps",
      next: { cells: 100, minutes: 12, ...ends },
      far: { cells: 1000, minutes: 120, ...ends },
      drawn,
    },
    ...over,
  };
}

function family(over: Partial<FamilyCurve> = {}): FamilyCurve {
  const set = { split: "test" as const, created_at: AT };
  return {
    family: "segmenter",
    test_sets: [
      { ...set, name: "new", images: 10, versions: 2 },
      { ...set, name: "old", images: 6, versions: 2 },
    ],
    reference: "new",
    points: [
      point(1, 100, 10, { old: 0.5 }),
      point(2, 200, 20, { new: 0.7, old: 0.6 }),
      point(3, 300, 30, { new: 0.75 }),
    ],
    fits: [fit()],
    ...over,
  };
}

const WORK: Work = {
  segmenter: "segmenter-2",
  detector: "detector-1",
  images: 12,
  cells: 1204,
  timed: 8,
  seconds_per_image: 200,
  seconds_per_cell: 2.43,
  edits_per_100: 7.25,
  unchanged: 0.916,
};

function curve(over: Partial<LearningCurve> = {}): LearningCurve {
  return {
    now: { annotated_cells: 320, images: 7, minutes: 33, revisions: 9, untimed: 2 },
    families: [family(), { ...family({ points: [], fits: [] }), family: "detector" }],
    work: [WORK],
    ...over,
  };
}

function only(from: LearningCurve): Choice {
  const [choice] = choices(from);
  if (choice === undefined) throw new Error("Nothing to choose.");
  return choice;
}

describe("learningSeries", () => {
  it("joins only versions measured on the same images", () => {
    const [fitted, others, shared] = learningSeries(only(curve()), "cells");
    expect(fitted).toMatchObject({ name: "fitted curve", smooth: true });
    expect(others?.name).toBe("on other test images");
    expect(others?.points).toEqual([
      [100, 0.5],
      [200, 0.6],
    ]);
    expect(shared?.name).toBe("on 10 test images");
    expect(shared?.points).toEqual([
      [200, 0.7],
      [300, 0.75],
    ]);
    expect(shared?.ranges?.[1]).toEqual([300, 0.7, 0.8]);
  });
  it("breaks the line between two other sets", () => {
    const older = { ...family().test_sets[1], name: "oldest" } as FamilyCurve["test_sets"][number];
    const points = [
      point(1, 100, 10, { oldest: 0.4 }),
      point(2, 200, 20, { old: 0.6 }),
      point(3, 300, 30, { new: 0.75 }),
    ];
    const choice = only(
      curve({ families: [family({ points, test_sets: [...family().test_sets, older] })] }),
    );
    const others = learningSeries(choice, "cells").find(({ name }) => name.includes("other"));
    expect(others?.points).toEqual([
      [100, 0.4],
      [NaN, NaN],
      [200, 0.6],
    ]);
  });
  it("leaves out versions whose minutes nobody knows", () => {
    const points = [point(1, 100, null, { new: 0.5 }), point(2, 200, 20, { new: 0.7 })];
    const choice = only(curve({ families: [family({ points })] }));
    expect(learningSeries(choice, "minutes").at(-1)?.points).toEqual([[20, 0.7]]);
  });
  it("draws no curve alone", () => {
    const choice = only(curve({ families: [family({ points: [point(1, 9, 1, {})] })] }));
    expect(learningSeries(choice, "cells")).toEqual([]);
  });
  it("keeps the axis within scores", () => {
    const wild = { name: "a", color: "red", points: [[1, 0.97] as const], ranges: [] };
    const ranged = { ...wild, ranges: [[1, 0.62, 1.08] as const] };
    expect(learningDomain([ranged])).toEqual([0.6, 1]);
  });
});

describe("words", () => {
  it("name the versions at a place of the axis", () => {
    expect(stopName(only(curve()), "cells", 300)).toBe("segmenter-3: 300 annotated cells");
    expect(stopName(only(curve()), "minutes", 20)).toBe("segmenter-2: 20 min of work");
  });
});

describe("verdicts", () => {
  it("say once what several figures lack", () => {
    const few = fit({ curve: null, sentence: "Too few versions." });
    const detector = family({
      family: "detector",
      fits: [few, { ...few, figure: "type_accuracy" }],
    });
    const found = verdicts(curve({ families: [family(), detector] }));
    expect(found.map(({ names }) => names)).toEqual([
      ["Segmenter AP@0.5"],
      ["Detector AP@0.5", "Detector type accuracy"],
    ]);
  });
  it("keep apart what happens to read alike", () => {
    const detector = family({ family: "detector", fits: [fit()] });
    expect(verdicts(curve({ families: [family(), detector] }))).toHaveLength(2);
  });
});

describe("LearningPanel", () => {
  let answer: LearningCurve;

  /** jsdom measures nothing. */
  class NoResize {
    observe = (): void => undefined;
    unobserve = (): void => undefined;
    disconnect = (): void => undefined;
  }

  beforeEach(() => {
    vi.stubGlobal("ResizeObserver", NoResize);
    answer = curve();
    stubFetch(({ address }) =>
      address === "/api/v1/datasets/1/learning-curve/" ? json(answer) : json({}, 404),
    );
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it("draws the figure against cells, and by a switch against minutes", async () => {
    render(LearningPanel, { dataset: dataset() });
    const plot = await screen.findByRole("img", { name: "Segmenter AP@0.5" });
    expect(screen.getByText("segmenter-3: 300 annotated cells")).toBeDefined();
    expect(screen.getByText("0.750 (0.700 … 0.800)")).toBeDefined();
    expect(plot.querySelectorAll(".whisker")).toHaveLength(4);
    expect(plot.querySelectorAll(".band")).toHaveLength(1);
    await fireEvent.keyDown(plot, { key: "ArrowRight" });
    expect(screen.getByText("segmenter-1: 100 annotated cells")).toBeDefined();
    await fireEvent.blur(plot);

    await fireEvent.change(screen.getByLabelText("Against"), { target: { value: "minutes" } });
    expect(screen.getByText("segmenter-3: 30 min of work")).toBeDefined();
    expect(screen.getByText(/2 of 9 corrections came without a time/)).toBeDefined();
    const list = screen.getByRole("list", { name: "Whether more labels help" });
    expect(list.textContent).toContain("+0.012 AP (0.004 … 0.020)");
  });

  it("goes to another figure", async () => {
    const detector = family({
      family: "detector",
      fits: [fit(), fit({ figure: "type_accuracy", curve: null, sentence: "Too few versions." })],
    });
    answer = curve({ families: [family(), detector] });
    render(LearningPanel, { dataset: dataset() });
    const select = await screen.findByLabelText("Figure");
    expect(
      within(select)
        .getAllByRole("option")
        .map(({ textContent }) => textContent),
    ).toEqual(["Segmenter AP@0.5", "Detector AP@0.5", "Detector type accuracy"]);
    await fireEvent.change(select, { target: { value: "detector type_accuracy" } });
    expect(screen.getByText("None of the versions was measured by this.")).toBeDefined();
  });

  it("tells time, edits and what stayed by the models begun with", async () => {
    render(LearningPanel, { dataset: dataset() });
    const row = await screen.findByRole("row", { name: /segmenter-2 with detector-1/ });
    const cells = within(row).getAllByRole("cell");
    expect(cells.map(({ textContent }) => textContent.replaceAll("\u00a0", " "))).toEqual([
      "12",
      "1,204",
      "3 min 20 s",
      "2.4 s",
      "7.3",
      "92 %",
    ]);
    expect(cells[2]?.title).toBe("Median of the 8 that tell how long they took");
  });

  it("shows the newest models first and the others when asked", async () => {
    const work = [6, 5, 4, 3, 2, 1].map((n) => ({ ...WORK, segmenter: `segmenter-${n}` }));
    answer = curve({ work });
    render(LearningPanel, { dataset: dataset() });
    const table = await screen.findByRole("table");
    expect(
      within(table)
        .getAllByRole("rowheader")
        .map(({ textContent }) => textContent),
    ).toEqual([
      "segmenter-6 with detector-1",
      "segmenter-5 with detector-1",
      "segmenter-4 with detector-1",
      "segmenter-3 with detector-1",
    ]);
    const more = screen.getByRole("button", { name: "Show all 6" });
    await fireEvent.click(more);
    expect(within(table).getAllByRole("rowheader")).toHaveLength(6);
    expect(screen.getByRole("button", { name: "Show fewer" })).toBeDefined();
  });

  it("says what is missing before the first version, test image and time", async () => {
    answer = curve({ families: [family({ points: [], fits: [] })], work: [] });
    const { unmount } = render(LearningPanel, { dataset: dataset() });
    expect(await screen.findByText(/No model was trained here yet/)).toBeDefined();
    expect(screen.queryByRole("img")).toBeNull();
    unmount();

    answer = curve({
      families: [family({ points: [point(1, 90, null, {})], test_sets: [], reference: null })],
      work: [],
    });
    const second = render(LearningPanel, { dataset: dataset() });
    expect(await screen.findByText(/correct some test images/)).toBeDefined();
    expect(screen.getByText(/No correction that began with a prediction yet/)).toBeDefined();
    second.unmount();

    const points = [point(1, 90, null, { new: 0.6 })];
    answer = curve({ families: [family({ points, fits: [fit({ curve: null })] })] });
    render(LearningPanel, { dataset: dataset() });
    await screen.findByRole("img");
    await fireEvent.change(screen.getByLabelText("Against"), { target: { value: "minutes" } });
    expect(screen.getByText(/tells how long it took/)).toBeDefined();
  });

  it("offers another try when the server fails", async () => {
    stubFetch(() => json({ message: "The database is away.", code: "unavailable" }, 503));
    render(LearningPanel, { dataset: dataset() });
    expect((await screen.findByRole("alert")).textContent).toContain("The database is away.");
    stubFetch(() => json(curve()));
    await fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("img", { name: "Segmenter AP@0.5" })).toBeDefined();
  });
});
