// @vitest-environment jsdom
import { fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import AgreementPanel from "../../src/ui/components/AgreementPanel.svelte";
import DoubtPanel from "../../src/ui/components/DoubtPanel.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { dataset } from "./rows";

class NoResize {
  observe = (): void => undefined;
  unobserve = (): void => undefined;
  disconnect = (): void => undefined;
}

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", NoResize);
});
afterEach(() => {
  vi.unstubAllGlobals();
  toasts.length = 0;
});

const plain = (text: string | null): string => (text ?? "").replaceAll("\u00a0", " ").trim();

describe("AgreementPanel", () => {
  const none = {
    images: 0,
    cells: 0,
    ap50: null,
    pq: null,
    type_agreement: null,
    count_error: null,
  };
  const gold = [{ id: 4, name: "mixed_b1_004.tif", gold: true }];
  const sent: Call[] = [];
  const named = (...names: string[]): unknown =>
    names.map((name, index) => ({ id: index + 7, name }));
  let found: unknown = [];
  let refused = "";

  beforeEach(() => {
    sent.length = 0;
    refused = "";
    stubFetch((call: Call) => {
      if (call.method === "PUT") {
        sent.push(call);
        if (refused !== "") return json({ message: refused, code: "conflict" }, 409);
        return json({ id: 7, name: "one.tif", gold: true });
      }
      if (call.address.includes("/agreement/")) {
        const figures = {
          ...{ images: 3, cells: 40, ap50: 0.91, pq: 0.8 },
          ...{ type_agreement: 0.95, count_error: 0.1 },
        };
        return json([{ annotator: "bob", gold: figures, repeat: none }]);
      }
      if (call.address.includes("/gold/")) return json(gold);
      return json({ results: found, next: null, previous: null });
    });
  });

  it("tells how each annotator does, leaving out what nobody was asked", async () => {
    render(AgreementPanel, { dataset: dataset() });
    const row = await screen.findByRole("row", { name: /bob/ });
    const cells = within(row).getAllByRole("cell");
    expect(cells.map((cell) => plain(cell.textContent))).toEqual([
      "gold images",
      "3",
      "40",
      "0.910",
      "0.800",
      "95 %",
    ]);
    expect(screen.queryByText("own images again")).toBeNull();
  });

  it("makes an image a gold one by its name and takes one back", async () => {
    found = named("one.tif", "one.tif.old.tif");
    render(AgreementPanel, { dataset: dataset() });
    await fireEvent.input(await screen.findByLabelText(/gold one/), {
      target: { value: "one.tif" },
    });
    await fireEvent.click(screen.getByRole("button", { name: "Add" }));
    await waitFor(() => expect(sent.length).toBe(1));
    expect(sent[0]?.address).toContain("/images/7/gold/");
    expect(sent[0]?.body).toBe('{"gold":true}');
    await fireEvent.click(screen.getByRole("button", { name: /mixed_b1_004.tif is no gold/ }));
    await waitFor(() => expect(sent.length).toBe(2));
    expect(sent[1]?.address).toContain("/images/4/gold/");
    expect(sent[1]?.body).toBe('{"gold":false}');
  });

  it("keeps the name of an image that cannot be a gold one, and asks once", async () => {
    found = named("one.tif");
    refused = "one.tif is complete in parts only.";
    render(AgreementPanel, { dataset: dataset() });
    const field = await screen.findByLabelText<HTMLInputElement>(/gold one/);
    await fireEvent.input(field, { target: { value: "one.tif" } });
    await fireEvent.submit(field);
    await fireEvent.submit(field);
    await waitFor(() => expect(toasts.map(({ text }) => text)).toEqual([refused]));
    expect(sent.length).toBe(1);
    expect(field.value).toBe("one.tif");
  });

  it("says when a name fits none or several", async () => {
    found = [];
    render(AgreementPanel, { dataset: dataset() });
    const field = await screen.findByLabelText(/gold one/);
    await fireEvent.input(field, { target: { value: "two" } });
    await fireEvent.click(screen.getByRole("button", { name: "Add" }));
    await waitFor(() => expect(toasts.at(-1)?.text).toMatch(/No image is called so/));
    found = named("two_1.tif", "two_2.tif");
    await fireEvent.click(screen.getByRole("button", { name: "Add" }));
    await waitFor(() => expect(toasts.at(-1)?.text).toMatch(/Several images/));
    expect(sent).toEqual([]);
  });
});

describe("DoubtPanel", () => {
  const shares = { fused: 0.9, segmenter: 0.8, detector: 0.8 };
  const doubt = {
    cells: 200,
    wrong: 20,
    expected: 18.4,
    auroc: 0.87,
    aurc: 0.04,
    coverage: [0.25, 0.5, 1],
    risk: [0, 0.02, 0.1],
    terms: { flow: 0.8, border: 0.85, views: null },
  };
  const fusion = {
    ...{ segmenter: "segmenter-2", images: 8, borders: "segmenter", least_chance: 0.46 },
    ...{ learnt: ["detector"], split: "test", created_at: "2026-02-01T00:00:00Z" },
    figures: {
      ...{ images: 6, cells: 180, ap50: shares, missed: shares, extra: shares },
      ...{ existence_error: 0.02, type_error: null, doubt },
    },
  };

  it("tells how often a wrong cell is more doubted, and which grounds tell most first", () => {
    render(DoubtPanel, { fusion });
    const told = plain(screen.getByText(/more doubted/).textContent).replace(/\s+/g, " ");
    expect(told).toContain(
      "87 % of all pairs (AUROC 0.870; guessing gives 50 %). 20 were wrong, 18 were expected to be",
    );
    expect(told).toContain("of the surer half 2.0 % are wrong, of all 10 %");
    const grounds = screen.getAllByRole("row").slice(1);
    expect(grounds.map((row) => plain(row.textContent).split(/\s{2,}/)[0])).toEqual([
      expect.stringContaining("models disagree on the border"),
      expect.stringContaining("flows do not fit the mask"),
    ]);
  });

  it("shows nothing for fits of older releases, and says when there is nothing to tell apart", () => {
    const older = Object.fromEntries(
      Object.entries(fusion.figures).filter(([name]) => name !== "doubt"),
    ) as Omit<typeof fusion.figures, "doubt">;
    const { container } = render(DoubtPanel, { fusion: { ...fusion, figures: older } });
    expect(container.textContent.trim()).toBe("");
    const figures = { ...fusion.figures, doubt: { ...doubt, wrong: 0, auroc: null } };
    render(DoubtPanel, { fusion: { ...fusion, figures } });
    expect(screen.getByText(/No cell was wrong/)).toBeTruthy();
  });
});
