// @vitest-environment jsdom
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import App from "../../src/ui/App.svelte";
import FusionPanel from "../../src/ui/components/FusionPanel.svelte";
import LineChart from "../../src/ui/components/LineChart.svelte";
import NameTable from "../../src/ui/components/NameTable.svelte";
import TopBar from "../../src/ui/components/TopBar.svelte";
import VersionTable from "../../src/ui/components/VersionTable.svelte";
import { navigation } from "../../src/ui/navigation.svelte";
import { compare } from "../../src/ui/metrics";
import { json, stubFetch, type Call } from "../api/stubs";
import { stubDialogs } from "./dialogs";
import { dataset, evaluation, parsed, version } from "./rows";

const STRATEGIES = [
  { name: "random", about: "Any image." },
  { name: "uncertainty", about: "The least sure one." },
];

/** jsdom measures nothing. */
class NoResize {
  observe = (): void => undefined;
  unobserve = (): void => undefined;
  disconnect = (): void => undefined;
}

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", NoResize);
  vi.stubGlobal("scrollTo", () => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("signing in", () => {
  let signedIn = false;

  function answer({ method, address, body }: Call): Response {
    if (method === "POST" && address === "/api/v1/auth/session/") {
      const { password } = JSON.parse(body as string) as { password: string };
      if (password !== "right") return json({ message: "Wrong.", code: "bad_input" }, 400);
      signedIn = true;
      return json({ id: 1, username: "alice", is_admin: false });
    }
    if (!signedIn) return json({ message: "Sign in.", code: "not_authenticated" }, 403);
    if (address === "/api/v1/me/") return json({ id: 1, username: "alice", is_admin: false });
    if (address === "/api/v1/datasets/9/") return json({ message: "No.", code: "not_found" }, 404);
    return json({ next: null, previous: null, results: [] });
  }

  beforeEach(() => {
    signedIn = false;
    stubFetch(answer);
    navigation.go("/datasets/9");
  });

  it("sends a stranger to the sign-in page and, once in, back to where they wanted to go", async () => {
    render(App);
    const name = await screen.findByLabelText("User name");
    expect(location.pathname + location.search).toBe("/sign-in?next=%2Fdatasets%2F9");

    const password = screen.getByLabelText("Password");
    const button = screen.getByRole("button", { name: "Sign in" });
    await fireEvent.input(name, { target: { value: "alice" } });
    await fireEvent.input(password, { target: { value: "wrong" } });
    await fireEvent.click(button);
    expect(await screen.findByText("Wrong.")).toBeDefined();

    await fireEvent.input(password, { target: { value: "right" } });
    await fireEvent.click(button);
    expect(await screen.findByText("There is nothing here")).toBeDefined();
    expect(location.pathname).toBe("/datasets/9");

    // A session that ends while somebody works leads to the sign-in page again.
    signedIn = false;
    await fireEvent.click(screen.getByRole("link", { name: "All data sets" }));
    await waitFor(() => {
      expect(screen.queryByLabelText("User name")).not.toBeNull();
    });
  });
});

describe("going from page to page", () => {
  beforeEach(() => {
    stubFetch(({ address }) => {
      if (address === "/api/v1/me/") return json({ id: 1, username: "alice", is_admin: false });
      if (address === "/api/v1/datasets/1/") return json(dataset());
      if (address.endsWith("/learning-curve/")) return json({ families: [], work: [] });
      if (/(gold|agreement)\/$/.test(address)) return json([]);
      if (address.endsWith("/strategies/")) return json(STRATEGIES);
      return json({ next: null, previous: null, results: [] });
    });
    navigation.go("/datasets/1/settings", { replace: true });
  });

  it("names each page in the title and takes the focus to its heading", async () => {
    render(App);
    await screen.findByRole("heading", { level: 1, name: "Settings" });
    await fireEvent.click(screen.getByRole("link", { name: "Models" }));
    await waitFor(() => {
      expect(document.title).toBe("Models · demo · Cytoloop");
    });
    const heading = screen.getByRole("heading", { level: 1, name: "Models" });
    await waitFor(() => {
      expect(document.activeElement).toBe(heading);
    });
  });

  it("renames and adds cell types under the settings", async () => {
    const sent: unknown[] = [];
    stubFetch(({ method, address, body }) => {
      if (method === "PATCH" && address === "/api/v1/datasets/1/") {
        sent.push(JSON.parse(body as string));
        return json(dataset());
      }
      if (address === "/api/v1/me/") return json({ id: 1, username: "alice", is_admin: false });
      if (address === "/api/v1/datasets/1/") return json(dataset());
      if (/(gold|agreement)\/$/.test(address)) return json([]);
      if (address.endsWith("/strategies/")) return json(STRATEGIES);
      return json({ next: null, previous: null, results: [] });
    });
    render(App);
    const save = await screen.findByRole("button", { name: "Save cell types" });
    expect((save as HTMLButtonElement).disabled).toBe(true);
    await fireEvent.input(screen.getByLabelText("Name of HEK"), { target: { value: " HEK293 " } });
    await fireEvent.input(screen.getByLabelText("New cell type"), { target: { value: "N2a" } });
    await fireEvent.click(save);
    await screen.findByText("Cell types saved.");
    expect(sent).toEqual([{ types: [{ id: 1, name: "HEK293" }, { name: "N2a" }] }]);
  });

  it("sets what is asked for, and describes the strategy that is chosen", async () => {
    const sent: unknown[] = [];
    stubFetch(({ method, address, body }) => {
      if (method === "PATCH") {
        sent.push(JSON.parse(body as string));
        const fields = { gold_every: ["0 for never, or 2 and more."] };
        if (sent.length === 1) return json({ message: "Not 1.", code: "bad_input", fields }, 400);
        return json(dataset());
      }
      if (address === "/api/v1/me/") return json({ id: 1, username: "alice", is_admin: false });
      if (address === "/api/v1/datasets/1/") return json(dataset());
      if (/(gold|agreement)\/$/.test(address)) return json([]);
      if (address.endsWith("/strategies/")) return json(STRATEGIES);
      return json({ next: null, previous: null, results: [] });
    });
    render(App);
    await screen.findByText("The least sure one.");
    await fireEvent.change(screen.getByLabelText("Strategy"), { target: { value: "random" } });
    expect(screen.getByText("Any image.")).toBeDefined();
    await fireEvent.change(screen.getByLabelText("Ask for"), { target: { value: "region" } });
    expect(screen.getByText(/Windows of some minutes/)).toBeDefined();
    await fireEvent.input(screen.getByLabelText("Region, minutes"), { target: { value: "5" } });
    const gold = screen.getByLabelText("A gold image, once in so many");
    await fireEvent.input(gold, { target: { value: "1" } });
    await fireEvent.click(screen.getByRole("button", { name: "Save settings" }));
    await screen.findByText("0 for never, or 2 and more.");
    await fireEvent.input(gold, { target: { value: "20" } });
    await fireEvent.click(screen.getByRole("button", { name: "Save settings" }));
    await screen.findByText("Settings saved.");
    expect(sent[1]).toMatchObject({
      asking: "region",
      strategy: "random",
      region_minutes: 5,
      gold_every: 20,
      repeat_every: 0,
    });
  });

  it("asks before work that the browser cannot keep is left", async () => {
    stubDialogs();
    render(App);
    const link = await screen.findByRole("link", { name: "Models" });
    const pardon = navigation.guard(() => "The disk is full.");
    await fireEvent.click(link);
    expect((await screen.findByRole("dialog")).textContent).toContain("The disk is full.");
    await fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(location.pathname).toBe("/datasets/1/settings");
    await fireEvent.click(link);
    await fireEvent.click(await screen.findByRole("button", { name: "Leave" }));
    expect(location.pathname).toBe("/datasets/1/models");
    pardon();
  });
});

describe("TopBar", () => {
  const tabs = (): string[] =>
    within(screen.getByRole("navigation", { name: "Data set" }))
      .getAllByRole("link")
      .map((link) => link.textContent);

  it("offers uploading to managers only", () => {
    const { unmount } = render(TopBar, {
      dataset: dataset({}, { role: "annotator" }),
      datasetId: 1,
      page: "models",
    });
    expect(tabs()).not.toContain("Upload");
    expect(screen.getByRole("link", { current: "page" }).textContent).toBe("Models");
    unmount();
    render(TopBar, { dataset: dataset(), datasetId: 1 });
    expect(tabs()).toContain("Upload");
  });
});

describe("LineChart", () => {
  const series = [
    {
      name: "train",
      color: "red",
      points: [
        [1, 0.9],
        [2, 0.5],
        [3, 0.25],
      ] as const,
    },
  ];

  it("reads its values out to the arrow keys", async () => {
    render(LineChart, { title: "Loss", xLabel: "epoch", series });
    const plot = screen.getByRole("img", { name: "Loss" });
    expect(screen.getByText("epoch 3")).toBeDefined();
    await fireEvent.keyDown(plot, { key: "ArrowLeft" });
    await fireEvent.keyDown(plot, { key: "ArrowLeft" });
    expect(screen.getByText("epoch 2")).toBeDefined();
    expect(screen.getByText("0.500")).toBeDefined();
    await fireEvent.keyDown(plot, { key: "Escape" });
    expect(screen.getByText("0.250")).toBeDefined();
  });
  it("draws two points at one place", () => {
    const twice = [
      [200, 0.7],
      [200, 0.8],
    ] as const;
    const line = { name: "AP", color: "red", points: twice };
    render(LineChart, { title: "Curve", xLabel: "cells", series: [line], dots: true });
    const plot = screen.getByRole("img", { name: "Curve" });
    expect(plot.querySelectorAll("circle")).toHaveLength(2);
    expect(screen.getByText("0.800")).toBeDefined();
  });
  it("draws an axis even before the first value", () => {
    render(LineChart, { title: "Empty", xLabel: "epoch", series: [] });
    expect(screen.getByRole("img", { name: "Empty" }).innerHTML).not.toContain("NaN");
  });
});

describe("NameTable", () => {
  it("puts the names that need a look first", () => {
    render(NameTable, {
      parsed: [
        parsed("a_masks.tif", { kind: "labels", message: "Belongs to a." }),
        parsed("good.tif"),
        parsed("odd.tif", { message: "No cell type." }),
      ],
      total: 3,
    });
    const rows = screen.getAllByRole("row").slice(1);
    expect(rows.map((row) => row.textContent)).toEqual([
      expect.stringContaining("odd.tif"),
      expect.stringContaining("a_masks.tif"),
      expect.stringContaining("good.tif"),
    ]);
  });
});

describe("VersionTable", () => {
  const at = "2026-02-01T00:00:00Z";
  const versions = [
    version(2, [evaluation("h", at, { ap50: 0.8 })]),
    { ...version(1, [evaluation("h", at, { ap50: 0.7 })]), stage: "current" as const },
  ];

  it("offers promotion of all but the current version, to those who may", async () => {
    const promote = vi.fn();
    const comparison = compare(versions);
    const { unmount } = render(VersionTable, { title: "Segmenter", comparison, promote });
    const buttons = screen.getAllByRole("button");
    expect(buttons.map((button) => button.textContent.trim())).toEqual(["Promote segmenter-2"]);
    await fireEvent.click(screen.getByRole("button"));
    expect(promote).toHaveBeenCalledWith(versions[0]);
    unmount();
    render(VersionTable, { title: "Segmenter", comparison });
    expect(screen.queryByRole("button")).toBeNull();
  });
});

describe("FusionPanel", () => {
  it("shows both models together beside each alone, and how honest the chances are", () => {
    const shares = (fused: number, segmenter: number, detector: number) => ({
      fused,
      segmenter,
      detector,
    });
    const figures = {
      images: 6,
      cells: 180,
      ap50: shares(0.912, 0.88, 0.85),
      missed: shares(0.02, 0.05, 0.08),
      extra: shares(0.03, 0.04, 0.06),
      existence_error: 0.021,
      type_error: null,
    };
    const fusion = {
      segmenter: "segmenter-2",
      images: 8,
      borders: "segmenter",
      least_chance: 0.46,
      learnt: ["detector"],
      split: "test",
      figures,
      created_at: "2026-02-01T00:00:00Z",
    };
    render(FusionPanel, { fusion, detector: "detector-1" });
    expect(screen.getByText("On 6 test images, 180 cells")).toBeTruthy();
    const row = screen.getByRole("row", { name: /Both together/ });
    const cells = within(row)
      .getAllByRole("cell")
      .map((cell) => cell.textContent.replaceAll("\u00a0", " ").trim());
    expect(cells).toEqual(["0.912", "2.0 %", "3.0 %"]);
    expect(screen.getByRole("row", { name: /detector-1 alone/ }).textContent).toContain("0.850");
    const words = screen.getByText(/Learnt from 8 validation images/).textContent;
    expect(words).toMatch(/only the segmenter sees stays \(no cell to learn from\)/);
    expect(words).toMatch(/only the detector sees stays from a chance of 46.% on/);
    expect(words).not.toContain("those of types");
  });
});
