// @vitest-environment jsdom
import { render, screen } from "@testing-library/svelte";
import { describe, expect, it, vi } from "vitest";
import DatasetCard from "../../src/ui/components/DatasetCard.svelte";
import LoopHeader from "../../src/ui/components/LoopHeader.svelte";
import type { Dataset, DatasetCounts } from "../../src/api/types";
import { json, stubFetch } from "../api/stubs";
import { dataset } from "./rows";

function start(over: Partial<Dataset>): { name: string | null; href: string | null } | null {
  render(LoopHeader, { dataset: dataset({}, over), live: [] });
  const link = screen.queryByRole("link", { name: /Start correcting|Answer for cells/ });
  return link && { name: link.textContent, href: link.getAttribute("href") };
}

describe("the figures below the bar", () => {
  const figures = (counts: Partial<DatasetCounts>): (string | undefined)[] => {
    render(LoopHeader, { dataset: dataset(counts), live: [] });
    const said = screen.getAllByRole("listitem").map(({ textContent }) => textContent.trim());
    return said.slice(0, -2);
  };

  it("add up to all images, and those to be predicted are told apart from them", () => {
    const counts = { images: 60, annotated: 24, predicted: 0, pending: 60 };
    const parts = ["24 annotated", "0 only predicted", "36 neither"];
    expect(figures(counts)).toEqual([...parts, "60 of 60 to be predicted"]);
  });

  it("leave out what nothing waits for", () => {
    const counts = { images: 60, annotated: 24, predicted: 60, pending: 0 };
    expect(figures(counts)).toEqual(["24 annotated", "36 only predicted", "0 neither"]);
  });
});

describe("what the bar says", () => {
  it("tells of images annotated in parts where there are some, as their figures do", async () => {
    const label = { name: "Annotated and predicted images" };
    const counts = { images: 8, annotated: 0, in_parts: 3, predicted: 8 };
    stubFetch(() => json({ results: [], next: null }));
    render(DatasetCard, { dataset: dataset(counts) });
    const bar = await screen.findByRole("progressbar", label);
    expect(bar.getAttribute("aria-valuetext")).toBe(
      "8 images: 0 annotated, 3 in parts, 8 predicted",
    );
    expect(screen.getByText("Annotated").parentElement?.textContent).toContain("+ 3 in parts");
    vi.unstubAllGlobals();
  });
});

describe("where the work begins", () => {
  it("is an image of the queue", () => {
    expect(start({})).toEqual({ name: "Start correcting", href: "/datasets/1/correct" });
  });

  it("is a cell where cells are asked for and there is a model", () => {
    expect(start({ asking: "cell" })).toEqual({
      name: "Answer for cells",
      href: "/datasets/1/gallery?ask",
    });
  });

  it("is an image until there is a model", () => {
    const versions = { segmenter: null, detector: null };
    expect(start({ asking: "cell", versions })?.name).toBe("Start correcting");
  });

  it("is nowhere for those who only look", () => {
    expect(start({ asking: "cell", role: "viewer" })).toBeNull();
  });
});
