// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Export, Run } from "../../src/api/types";
import ElsewherePanel from "../../src/ui/components/ElsewherePanel.svelte";
import { json, stubFetch, type Call } from "../api/stubs";
import { dataset, run, version } from "./rows";

const BUNDLE: Export = {
  id: 3,
  dataset: 1,
  format: "bundle",
  source: "segmenter",
  split: "",
  status: "queued",
  message: "",
  images: 0,
  cells: 0,
  created_at: "2026-02-03T10:00:00Z",
  finished_at: null,
  url: "/api/v1/exports/3/",
  download: null,
};
const PATIENT = { timeout: 5_000 };

afterEach(() => {
  vi.unstubAllGlobals();
});

function open(answer: (call: Call) => Response) {
  const calls = stubFetch(answer);
  const arrived = vi.fn();
  const props = { dataset: dataset(), versions: [version(2, []), version(1, [])], arrived };
  render(ElsewherePanel, { props });
  return { calls, arrived };
}

async function send(name = "lab-segmenter.cytoloop-model.zip"): Promise<void> {
  const file = new File(["zip"], name);
  const input = screen.getByLabelText("Send a trained model");
  await fireEvent.change(input, { target: { files: [file] } });
}

describe("training elsewhere", () => {
  it("asks for a bundle, waits until it is written, and offers it", async () => {
    const { calls } = open(({ method }) => {
      if (method === "POST") return json(BUNDLE, 202);
      const done = { status: "done", download: "/api/v1/exports/3/download/" } as const;
      return json({ ...BUNDLE, ...done });
    });
    await fireEvent.change(screen.getByLabelText("Start from"), { target: { value: "scratch" } });
    await fireEvent.click(screen.getByRole("button", { name: "Make a training bundle" }));
    expect(await screen.findByText("The bundle is being written…")).toBeDefined();
    const link = await screen.findByRole("link", { name: "Download the bundle" }, PATIENT);
    expect(link.getAttribute("href")).toBe("/api/v1/exports/3/download/");
    // Beside what it asks about the licence of the start.
    const steps = calls.filter(({ address }) => !address.includes("/preflight/"));
    expect(steps.map(({ address }) => address)).toEqual([
      "/api/v1/training-bundles/",
      "/api/v1/exports/3/",
    ]);
    const asked = JSON.parse(steps[0]?.body as string) as unknown;
    expect(asked).toEqual({ dataset: 1, family: "segmenter", base: "scratch" });
  });

  it("sends a model, follows the run that takes it in, and tells the page", async () => {
    const over: Partial<Run> = { status: "done", message: "segmenter-3 was taken in." };
    const { calls, arrived } = open(({ method }) =>
      method === "POST" ? json(run({ status: "queued" }), 202) : json(run(over)),
    );
    await send();
    expect(await screen.findByText("Run 5 takes the segmenter in.")).toBeDefined();
    expect(await screen.findByText("segmenter-3 was taken in.", {}, PATIENT)).toBeDefined();
    expect(arrived).toHaveBeenCalledOnce();
    const sent = calls.find(({ method }) => method === "POST");
    expect(sent?.address).toBe("/api/v1/datasets/1/trained-models/");
    expect(((sent?.body as FormData).get("file") as File).name).toContain("lab-segmenter");
  });

  it("shows the licence of the weights that a training there would download", async () => {
    open(() => json({ family: "segmenter", start: "cyto3", licence: "Not for sale." }));
    expect(await screen.findByText("Starts from cyto3. Not for sale.")).toBeDefined();
  });

  it("shows the server's sentence about a file that it refuses", async () => {
    const { arrived } = open(() =>
      json({ message: "x.zip was cut off. Copy it again.", code: "unreadable_model" }, 400),
    );
    await send("x.zip");
    expect((await screen.findByRole("alert")).textContent).toContain("Copy it again.");
    expect(arrived).not.toHaveBeenCalled();
  });

  it("goes on saying why a file was refused while it looks at the bundle", async () => {
    let looks = 0;
    open(({ method, address }) => {
      if (address.includes("trained-models")) {
        return json({ message: "x.zip was cut off. Copy it again.", code: "bad" }, 400);
      }
      if (method === "POST") return json(BUNDLE, 202);
      if (address.includes("preflight")) return json({ family: "segmenter", licence: "" });
      looks++;
      return looks === 1 ? json({ message: "The server restarts." }, 503) : json(BUNDLE);
    });
    await fireEvent.click(screen.getByRole("button", { name: "Make a training bundle" }));
    expect(await screen.findByText("The bundle is being written…")).toBeDefined();
    await send("x.zip");
    expect(await screen.findByText("The server restarts.", {}, PATIENT)).toBeDefined();
    await vi.waitFor(() => {
      expect(looks).toBeGreaterThan(1);
      expect(screen.queryByText("The server restarts.")).toBeNull();
    }, PATIENT);
    expect(screen.getByRole("alert").textContent).toBe("x.zip was cut off. Copy it again.");
  });
});
