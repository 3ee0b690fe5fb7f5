// @vitest-environment jsdom
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, expect, it, vi } from "vitest";
import RunCard from "../../src/ui/components/RunCard.svelte";
import { json, stubFetch } from "../api/stubs";
import { run } from "./rows";

afterEach(() => {
  vi.unstubAllGlobals();
});

it("the log, which takes the focus to be scrolled, has a name", async () => {
  const over = run({ status: "done" });
  stubFetch(() => json({ ...over, log: "epoch 1: loss 0.5" }));
  const props = { run: over, open: true, canSteer: false, changed: vi.fn() };
  const { container } = render(RunCard, props);
  const details = container.querySelector<HTMLDetailsElement>("details.log");
  if (details === null) throw new Error("The card has no log.");
  details.open = true;
  await fireEvent(details, new Event("toggle"));
  const log = await screen.findByRole("region", { name: "Log of run 5" });
  expect([log.tabIndex, log.textContent]).toEqual([0, "epoch 1: loss 0.5"]);
});
