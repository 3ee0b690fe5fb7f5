// @vitest-environment jsdom
import { render, screen } from "@testing-library/svelte";
import { describe, expect, it } from "vitest";
import LoopHeader from "../../src/ui/components/LoopHeader.svelte";
import type { Dataset } from "../../src/api/types";
import { dataset } from "./rows";

function start(over: Partial<Dataset>): { name: string | null; href: string | null } | null {
  render(LoopHeader, { dataset: dataset({}, over), live: [] });
  const link = screen.queryByRole("link", { name: /Start correcting|Answer for cells/ });
  return link && { name: link.textContent, href: link.getAttribute("href") };
}

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
