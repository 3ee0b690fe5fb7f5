/** The segmenter's masks at other thresholds: shown while a slider moves, kept when applied. */
import { masksAt } from "../../api/flows";
import { messageOf, wasAborted } from "../../api/client";
import { applySteps } from "../../core/history";
import { GESTURE } from "../../core/origin";
import {
  addedMeta,
  detectorOnly,
  withMasks,
  type Applied,
  type Replacement,
  type Thresholds,
} from "../../core/thresholds";
import type { Editor } from "./editor.svelte";
import { cultureType } from "./opening";

export const DEFAULTS: Thresholds = { cellprobThreshold: 0, flowThreshold: 0.4, minSize: 15 };
/** ms a slider must rest before the server is asked; longer where it still has an answer to give. */
const REST = 25;

/** ms after which there is no answer any more: another question may be asked. */
const PATIENCE = 20_000;

function same(a: Thresholds, b: Thresholds): boolean {
  const keys = ["cellprobThreshold", "flowThreshold", "minSize"] as const;
  return keys.every((key) => Math.abs(a[key] - b[key]) < 1e-6);
}

export class ThresholdPreview {
  waiting = $state(false);
  error = $state<string | null>(null);
  /** What is tried; null: what the masks are at. */
  private wanted = $state.raw<Thresholds | null>(null);
  /** What was applied last though it changed no cell, and after which masks. */
  private idle = $state.raw<{
    readonly values: Thresholds;
    readonly after: Applied | undefined;
  } | null>(null);
  private latest: (Replacement & { readonly values: Thresholds }) | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private calls: AbortController | null = null;

  constructor(private readonly editor: Editor) {}

  /** True while masks are shown that are not applied yet. */
  get shown(): boolean {
    return this.editor.previewing;
  }

  /** Cells without the preview. */
  get cellsBefore(): number {
    return this.editor.state.doc.geometry.size;
  }

  /** Cells in the preview. */
  get cells(): number {
    return this.editor.shown.doc.geometry.size;
  }

  /** Those that the document's masks are at. */
  get present(): Thresholds {
    const last = this.applied.at(-1);
    if (this.idle !== null && this.idle.after === last) return this.idle.values;
    return last?.values ?? DEFAULTS;
  }

  get values(): Thresholds {
    return this.wanted ?? this.present;
  }

  set(change: Partial<Thresholds>): void {
    const values = { ...this.values, ...change };
    // What the masks are at already changes nothing: the picture, not a new decode, counts.
    if (same(values, this.present)) {
      this.cancel();
      return;
    }
    this.wanted = values;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), REST);
  }

  /** Keep what is shown, as one gesture that can be undone. */
  apply(): void {
    const { editor, latest } = this;
    this.stop();
    if (!this.shown || latest === null) return;
    editor.show(null);
    const { steps, placed, removed, values } = latest;
    const placement = { values, placed, removed };
    // Where no cell changes there is no gesture to read the values from later.
    if (steps.length === 0) this.idle = { values, after: this.applied.at(-1) };
    else editor.dispatch({ kind: "edit", name: GESTURE.thresholds, steps, placement });
    this.wanted = null;
  }

  /** Back to the masks before. */
  cancel(): void {
    this.stop();
    this.error = null;
    this.wanted = null;
    this.editor.show(null);
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.calls?.abort();
    this.calls = null;
    this.waiting = false;
  }

  private get applied(): Applied[] {
    return this.editor.settled.history.done.flatMap(({ applied }) => applied ?? []);
  }

  /**
   * One question at a time: the server answers all that it gets, and the last would come last. What
   * is wanted then is asked when the answer is there, which shows meanwhile.
   */
  private async ask(): Promise<void> {
    const { values: wanted } = this;
    const { model } = this.editor.state.reference;
    if (model !== null && same(wanted, DEFAULTS)) {
      this.stop();
      this.error = null;
      this.show(model.labels.flat(), wanted);
      return;
    }
    if (this.calls !== null) return;
    const calls = new AbortController();
    this.calls = calls;
    this.waiting = true;
    const patience = setTimeout(() => {
      calls.abort(new Error("no answer"));
    }, PATIENCE);
    try {
      const { values } = await masksAt(this.editor.opened.image.id, wanted, calls.signal);
      if (!calls.signal.aborted) this.show(values, wanted);
      this.error = null;
    } catch (error) {
      if (!wasAborted(error)) this.error = messageOf(error);
    } finally {
      clearTimeout(patience);
      if (this.calls === calls) {
        this.calls = null;
        this.waiting = false;
        if (this.wanted !== null && !same(this.wanted, wanted)) void this.ask();
      }
    }
  }

  private show(flat: ArrayLike<number>, values: Thresholds): void {
    const { editor } = this;
    editor.cancelGesture();
    const { doc, evidence, reference } = editor.state;
    if (reference.model === null) return;
    const meta = addedMeta(cultureType(editor.opened.image, editor.opened.dataset));
    const masks = { flat, meta, fixed: detectorOnly(evidence) };
    const replacement = withMasks(doc, reference.model, masks, this.applied);
    const steps = editor.asked.kept(replacement.steps);
    this.latest = { ...replacement, steps, values };
    editor.show({ base: doc, doc: applySteps(doc, steps) });
  }
}
