/**
 * Wand: press on a missed cell and it grows to its edge in the image. While the button is held,
 * dragging right or up (or `]`) takes more, left or down (or `[`) less.
 */
import { newCellStep } from "../core/commands";
import { fieldAround, reachOf, regionAt, type Field } from "../core/flood";
import type { Point } from "../core/geometry";
import type { LabelImage } from "../core/labelImage";
import type { OverlayShape } from "../core/overlay";
import { GESTURE } from "../core/origin";
import { paintable, paintSpans } from "../core/paint";
import type { PaintStep } from "../core/steps";
import type { PointerInput, Tool, ToolContext } from "./tool";

interface Hold {
  readonly field: Field;
  /** As the labels were when the button went down. */
  readonly labels: LabelImage;
  readonly label: number;
  readonly painted: PaintStep | null;
  readonly from: Point;
  readonly byDrag: number;
  readonly byKeys: number;
}

/** CSS pixels of a drag over the whole range of tolerances. */
const FULL_DRAG = 160;
const KEY_STEP = 0.1;
/** The keys that size the brush otherwise. */
const KEYS: Readonly<Record<string, 1 | -1>> = { "]": 1, ".": 1, "[": -1, ",": -1 };

export class Wand implements Tool {
  readonly name = "wand";
  readonly cursor = "crosshair";
  private hold: Hold | null = null;

  get busy(): boolean {
    return this.hold !== null;
  }

  pointerDown(context: ToolContext, { at, screen }: PointerInput): void {
    const { doc, options, reference } = context.state;
    if (reference.brightness === null) return;
    const { brightness, nuclei } = reference;
    const reach = reachOf(doc, nuclei !== null);
    const click = { at, reach, rule: paintable(options.mode), nuclei };
    const field = fieldAround(doc.labels, brightness, click);
    if (field === null) return;
    const { labels } = doc;
    const label = doc.highest + 1;
    this.paint(context, {
      field,
      labels,
      label,
      painted: null,
      from: screen,
      byDrag: 0,
      byKeys: 0,
    });
  }

  pointerMove(context: ToolContext, { screen }: PointerInput): void {
    if (this.hold === null) return;
    const { from } = this.hold;
    const byDrag = (screen.x - from.x - (screen.y - from.y)) / FULL_DRAG;
    this.paint(context, { ...this.hold, byDrag });
  }

  pointerUp(context: ToolContext): void {
    if (this.hold === null) return;
    this.hold = null;
    context.dispatch({ kind: "end" });
    context.dispatch({ kind: "set", options: { startNew: false } });
  }

  cancel(context: ToolContext): void {
    if (this.hold === null) return;
    this.hold = null;
    context.dispatch({ kind: "cancel" });
  }

  key(context: ToolContext, key: string): boolean {
    const direction = KEYS[key];
    if (this.hold === null || direction === undefined) return false;
    this.paint(context, { ...this.hold, byKeys: this.hold.byKeys + direction * KEY_STEP });
    return true;
  }

  overlay(): OverlayShape[] {
    return [];
  }

  /** One step more within the gesture: what was painted before goes, the new region comes. */
  private paint({ state, dispatch }: ToolContext, hold: Hold): void {
    const { field, labels, label, byDrag, byKeys } = hold;
    const { options } = state;
    const spans = regionAt(field, byDrag + byKeys);
    const painted = paintSpans(labels, spans, label, paintable(options.mode));
    const before =
      hold.painted === null ? newCellStep(label, options.brushMeta) : hold.painted.invert();
    this.hold = { ...hold, painted };
    const selection = new Set([label]);
    dispatch({ kind: "edit", name: GESTURE.wand, steps: [before, painted], selection, open: true });
  }
}
