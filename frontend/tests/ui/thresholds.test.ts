// @vitest-environment jsdom
/** Masks at other thresholds: shown, applied, applied again, and what they are in the way of. */
import "fake-indexeddb/auto";
import { fireEvent, render, screen } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { deleteCells, redo, select, undo } from "../../src/core/commands";
import type { Evidence } from "../../src/core/evidence";
import CellPanel from "../../src/ui/editor/CellPanel.svelte";
import { Editor, PREVIEWING } from "../../src/ui/editor/editor.svelte";
import { evidenceOf } from "../../src/ui/editor/opening";
import { DEFAULTS, ThresholdPreview } from "../../src/ui/editor/thresholds.svelte";
import ThresholdsPanel from "../../src/ui/editor/ThresholdsPanel.svelte";
import { toasts } from "../../src/ui/toasts.svelte";
import { stubFetch, type Call } from "../api/stubs";
import { picture, rowsOf } from "../core/drawing";
import { opened, predictedCell } from "./opened";
import { endAll, workOn } from "./visits";

let calls: Call[];
let editor: Editor;
/** What the segmenter answers next. */
let answer = [1, 1, 1, 1, 0];

beforeEach(() => {
  localStorage.clear();
  toasts.length = 0;
  answer = [1, 1, 1, 1, 0];
  calls = stubFetch(() => {
    const headers = { "X-Shape": "1,5", "X-Dtype": "uint16" };
    return new Response(Uint16Array.from(answer).buffer, { headers });
  });
  const doc = picture(["11.22"], [[1, { type: "HEK", source: "model" }]]);
  editor = new Editor(opened({ doc, model: doc }), false);
});
afterEach(async () => {
  await endAll();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function begin(visited: Editor) {
  return { editor: visited, work: workOn(visited) };
}
const shownRows = (): string[] => rowsOf(editor.shown.doc);

async function moved(preview: ThresholdPreview, labels = answer): Promise<void> {
  answer = labels;
  const before = calls.length;
  preview.set({ minSize: preview.values.minSize + 5 });
  await vi.waitFor(() => {
    expect([calls.length, preview.waiting, preview.shown]).toEqual([before + 1, false, true]);
  });
}

it("applied masks can be replaced again, and undo gives back each", async () => {
  const preview = new ThresholdPreview(editor);
  await moved(preview);
  expect([shownRows(), rowsOf(editor.state.doc)]).toEqual([["3333."], ["11.22"]]);
  preview.apply();
  expect([rowsOf(editor.state.doc), preview.shown]).toEqual([["3333."], false]);
  await moved(preview, [4, 4, 0, 5, 5]);
  preview.apply();
  expect(rowsOf(editor.state.doc)).toEqual(["11.22"]);
  editor.run(undo);
  expect(rowsOf(editor.state.doc)).toEqual(["3333."]);
  expect(preview.present.minSize).toBe(20);
  editor.run(undo);
  expect([rowsOf(editor.state.doc), editor.can(undo)]).toEqual([["11.22"], false]);
});

it("a slider on its way asks once at a time, and in the end for where it stopped", async () => {
  const answers: ((answered: Response) => void)[] = [];
  const answered = (labels: number[]): Response => {
    const headers = { "X-Shape": "1,5", "X-Dtype": "uint16" };
    return new Response(Uint16Array.from(labels).buffer, { headers });
  };
  const asked = stubFetch(() => new Promise((resolve) => answers.push(resolve)));
  const preview = new ThresholdPreview(editor);
  const asking = (times: number) =>
    vi.waitFor(() => {
      expect([asked.length, preview.waiting]).toEqual([times, true]);
    });
  preview.set({ minSize: 20 });
  await asking(1);
  for (const minSize of [30, 40, 50]) {
    preview.set({ minSize });
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  await asking(1);
  answers[0]?.(answered([1, 1, 1, 1, 0]));
  await asking(2);
  expect([shownRows(), JSON.stringify(asked[1]?.body)]).toEqual([
    ["3333."],
    expect.stringContaining("50"),
  ]);
  answers[1]?.(answered([4, 4, 0, 5, 5]));
  await vi.waitFor(() => {
    expect([preview.waiting, shownRows()]).toEqual([false, ["11.22"]]);
  });
  expect(preview.values.minSize).toBe(50);
});

it("an answer that never comes is said, and does not keep the slider waiting", async () => {
  vi.useFakeTimers();
  const asked = vi.fn(
    (_: string, { signal }: RequestInit) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      }),
  );
  vi.stubGlobal("fetch", asked);
  const preview = new ThresholdPreview(editor);
  preview.set({ minSize: 20 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect([asked.mock.calls.length, preview.waiting]).toEqual([1, true]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect([preview.waiting, preview.error]).toEqual([
    false,
    expect.stringContaining("cannot be reached"),
  ]);
  preview.set({ minSize: 30 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect([asked.mock.calls.length, preview.waiting]).toEqual([2, true]);
  preview.cancel();
  vi.useRealTimers();
});

it("the values at the start are the picture itself, whatever a new decode would say", async () => {
  const preview = new ThresholdPreview(editor);
  await moved(preview);
  preview.set({ minSize: DEFAULTS.minSize });
  expect([preview.shown, shownRows()]).toEqual([false, ["11.22"]]);
  await moved(preview);
  preview.apply();
  const asked = calls.length;
  preview.set({ minSize: DEFAULTS.minSize });
  await vi.waitFor(() => {
    expect(preview.shown).toBe(true);
  });
  expect([shownRows(), calls.length]).toEqual([["11.22"], asked]);
  preview.apply();
  expect(preview.present).toEqual(DEFAULTS);
});

it("cells that only the detector sees stay whatever the values are", async () => {
  const doc = editor.state.doc;
  const [said] = evidenceOf([predictedCell(2, [3, 0, 5, 1])], null).values();
  const evidence = new Map([[2, { ...(said as Evidence), seenBy: "detector" }]]);
  editor = new Editor(opened({ doc, model: doc, evidence }), false);
  await moved(new ThresholdPreview(editor), [0, 0, 0, 0, 0]);
  expect(shownRows()).toEqual(["...22"]);
});

it("while they are shown nothing changes, no button says it could, and it is said why", async () => {
  const preview = new ThresholdPreview(editor);
  editor.run(deleteCells(new Set([2])));
  await moved(preview);
  expect(editor.can(undo)).toBe(false);
  editor.run(undo);
  editor.run(deleteCells(new Set([1])));
  expect(shownRows()).toEqual(["3333."]);
  expect(toasts.map(({ text }) => text)).toEqual([PREVIEWING]);
  preview.cancel();
  expect([shownRows(), editor.can(undo), preview.values]).toEqual([
    ["11..."],
    true,
    preview.present,
  ]);
});

it("a cell selected meanwhile is the panel's", async () => {
  await moved(new ThresholdPreview(editor));
  const { container } = render(CellPanel, { editor });
  editor.run(select([1]));
  await vi.waitFor(() => {
    expect(container.textContent).toContain("HEK");
  });
});

it("other masks than those on the screen are not submitted", async () => {
  const work = workOn(editor);
  const preview = new ThresholdPreview(editor);
  await moved(preview);
  const before = calls.length;
  expect(await work.submit()).toBe(false);
  expect([calls.length, editor.refused, work.submitting]).toEqual([before, true, false]);
});

it("what a slider asked for just before they were applied does not come any more", async () => {
  const preview = new ThresholdPreview(editor);
  await moved(preview);
  const before = calls.length;
  preview.set({ minSize: 90 });
  preview.apply();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([calls.length, preview.shown]).toEqual([before, false]);
});

it("the panel says in an alert what went wrong, and takes its preview with it", async () => {
  const { unmount } = render(ThresholdsPanel, { editor });
  const scrolled = vi.fn();
  HTMLElement.prototype.scrollIntoView = scrolled;
  await fireEvent.click(screen.getByRole("button", { name: "Change" }));
  expect(scrolled).toHaveBeenCalledOnce();
  const slider = screen.getByRole("slider", { name: "Flow error threshold" });
  // What is said, short or long, is below what is pressed.
  const apply = screen.getByRole("button", { name: "Apply" });
  const words = screen.getByText(/^Lower probability/);
  expect(apply.compareDocumentPosition(words)).toBe(Node.DOCUMENT_POSITION_FOLLOWING);
  await fireEvent.input(slider, { target: { value: "1" } });
  await vi.waitFor(() => {
    expect(screen.getAllByRole("status").at(-1)?.textContent).toContain("2 → 1 cell.");
  });
  editor.run(deleteCells(new Set([1])));
  expect((await screen.findByRole("alert")).textContent).toBe(PREVIEWING);
  unmount();
  expect([editor.previewing, shownRows()]).toEqual([false, ["11.22"]]);
});

it("after a reload the panel shows the values applied, and previews move as before", async () => {
  const { work } = begin(editor);
  const preview = new ThresholdPreview(editor);
  await moved(preview);
  preview.apply();
  await moved(preview, [4, 4, 0, 5, 5]);
  preview.apply();
  editor.run(undo);
  await work.recorder.record();

  const later = begin(
    new Editor(opened({ doc: editor.opened.doc, model: editor.opened.doc }), false),
  );
  await later.work.lookForDraft();
  await later.work.restore();
  editor = later.editor;
  const again = new ThresholdPreview(editor);
  expect(again.values).toEqual({ ...DEFAULTS, minSize: 20 });
  await moved(again, [6, 6, 6, 6, 6]);
  expect(shownRows()).toEqual(["33333"]);
  again.cancel();
  editor.run(redo);
  expect([again.values.minSize, rowsOf(editor.state.doc)]).toEqual([25, ["11.22"]]);
  editor.run(undo);
  editor.run(undo);
  expect([again.values, rowsOf(editor.state.doc)]).toEqual([DEFAULTS, ["11.22"]]);
});

it("applied though they change no cell, the values stay what they were set to", async () => {
  const preview = new ThresholdPreview(editor);
  await moved(preview, [1, 1, 0, 2, 2]);
  preview.apply();
  expect([preview.shown, preview.values.minSize, editor.can(undo)]).toEqual([false, 20, false]);
  expect(preview.values).toBe(preview.present);
  editor.run(deleteCells(new Set([2])));
  expect(preview.values.minSize).toBe(20);
  await moved(preview, [3, 3, 3, 0, 0]);
  preview.apply();
  expect([preview.values.minSize, shownRows()]).toEqual([25, ["111.."]]);
  editor.run(undo);
  expect(preview.values.minSize).toBe(20);
});
