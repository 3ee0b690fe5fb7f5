/** The segmenter's masks at other thresholds: shown while a slider moves, kept when applied. */
import { masksAt, type Thresholds } from "../../api/flows";
import { messageOf, wasAborted } from "../../api/client";
import { addedMeta, withMasks } from "../../core/thresholds";
import type { Editor } from "./editor.svelte";
import { cultureType } from "./opening";

export const DEFAULTS: Thresholds = { cellprobThreshold: 0, flowThreshold: 0.4, minSize: 15 };
/** ms a slider must rest before the server is asked. */
const REST = 60;
const NAME = "Other thresholds";

export class ThresholdPreview {
  values = $state.raw<Thresholds>(DEFAULTS);
  /** True while the document shows masks that are not applied yet. */
  shown = $state(false);
  waiting = $state(false);
  error = $state<string | null>(null);
  /** Cells in the last preview. */
  cells = $state<number | null>(null);

  private timer: ReturnType<typeof setTimeout> | undefined;
  private calls: AbortController | null = null;

  constructor(private readonly editor: Editor) {}

  set(change: Partial<Thresholds>): void {
    this.values = { ...this.values, ...change };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.ask(), REST);
  }

  /** Keep what is shown, as one gesture that can be undone. */
  apply(): void {
    if (!this.shown) return;
    this.shown = false;
    if (this.previewing) this.editor.dispatch({ kind: "end" });
  }

  /** Back to the masks before. */
  cancel(): void {
    clearTimeout(this.timer);
    this.calls?.abort();
    this.waiting = false;
    this.cells = null;
    this.values = DEFAULTS;
    if (this.shown && this.previewing) this.editor.dispatch({ kind: "cancel" });
    this.shown = false;
  }

  /** False once another gesture has begun, which ends (and so applies) the preview. */
  private get previewing(): boolean {
    return this.editor.state.history.open?.name === NAME;
  }

  private async ask(): Promise<void> {
    this.calls?.abort();
    const calls = new AbortController();
    this.calls = calls;
    this.waiting = true;
    try {
      const { values } = await masksAt(this.editor.opened.image.id, this.values, calls.signal);
      if (!calls.signal.aborted) this.show(values);
      this.error = null;
    } catch (error) {
      if (!wasAborted(error)) this.error = messageOf(error);
    } finally {
      if (this.calls === calls) this.waiting = false;
    }
  }

  private show(flat: ArrayLike<number>): void {
    const { editor } = this;
    if (this.previewing) editor.dispatch({ kind: "cancel" });
    editor.cancelGesture();
    const { doc, reference } = editor.state;
    if (reference.model === null) return;
    const meta = addedMeta(cultureType(editor.opened.image, editor.opened.dataset));
    const steps = withMasks(doc, reference.model, { flat, meta });
    editor.dispatch({ kind: "edit", name: NAME, steps, open: true });
    this.shown = true;
    this.cells = editor.state.doc.geometry.size;
  }
}
