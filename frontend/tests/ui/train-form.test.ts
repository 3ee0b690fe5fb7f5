// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Preflight } from "../../src/api/types";
import ElsewherePanel from "../../src/ui/components/ElsewherePanel.svelte";
import TrainForm from "../../src/ui/components/TrainForm.svelte";
import { json, stubFetch } from "../api/stubs";
import { dataset, version } from "./rows";

const NOTHING = {
  ready: true,
  problems: [],
  warnings: [],
  images: {},
  cells: {},
  cells_per_image: {},
  cells_per_type: {},
};
const LICENCE = "Weights of cellpose, in part for non-commercial use.";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** The form of a data set whose first version started from `start`. */
function open(start: string): void {
  stubFetch(({ address }) => {
    const base = new URL(address, "http://here").searchParams.get("base");
    const from = base === "current" ? "segmenter-2" : (base ?? start);
    const found: Preflight = {
      ...{ family: "segmenter", ready: true, start: from, problems: [], warnings: [] },
      ...{ licence: from === "cyto3" ? LICENCE : "", images: {}, cells: {}, cells_per_type: {} },
      ...{ cells_per_image: {}, weak_images: 0, skipped: [], disk_mb: 1, memory_mb: 1 },
    };
    return json(found);
  });
  render(TrainForm, { dataset: dataset(), versions: [version(2, [])], started: vi.fn() });
}

const starts = (): string[] => {
  const list = screen.getByLabelText<HTMLSelectElement>("Start from");
  return [...list.options].map(({ text }) => text);
};

function startFrom(value: string): Promise<boolean> {
  return fireEvent.change(screen.getByLabelText("Start from"), { target: { value } });
}

describe("what a training starts from", () => {
  it("is listed once where the beginning is scratch, whatever is chosen", async () => {
    open("scratch");
    const all = ["the beginning (scratch)", "the current version (segmenter-2)"];
    await vi.waitFor(() => {
      expect(starts()).toEqual(all);
    });
    await startFrom("current");
    await screen.findByText(/Continuing takes fewer epochs/);
    expect(starts()).toEqual(all);
  });

  it.each([
    ["train now", TrainForm, { started: vi.fn() }],
    ["elsewhere", ElsewherePanel, { arrived: vi.fn() }],
  ])("shows no licence while another start is asked about: %s", async (_, form, more) => {
    stubFetch(({ address }) =>
      address.includes("base=")
        ? new Promise<Response>(() => undefined)
        : json({ family: "segmenter", start: "cyto3", licence: LICENCE, ...NOTHING }),
    );
    render(form as never, { dataset: dataset(), versions: [version(2, [])], ...more } as never);
    await screen.findByText(`Starts from cyto3. ${LICENCE}`);
    await startFrom("scratch");
    expect(screen.queryByText(/Starts from/)).toBeNull();
  });

  it("is shown with the licence of weights that are downloaded", async () => {
    open("cyto3");
    expect(await screen.findByText(`Starts from cyto3. ${LICENCE}`)).toBeDefined();
    expect(starts()).toContain("scratch");
    await startFrom("scratch");
    await vi.waitFor(() => {
      expect(screen.queryByText(/Starts from cyto3/)).toBeNull();
    });
    expect(starts()[0]).toBe("the beginning (cyto3)");
  });
});
