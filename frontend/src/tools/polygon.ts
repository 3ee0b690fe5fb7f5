/**
 * Polygon and lasso in one: clicks set corners, a drag draws freehand. Closing (a click on the
 * first corner, a double click or Enter) fills the shape as a new cell. Shift, held at any click,
 * adds it to the selected cell, Alt takes it away from there.
 */
import { newCellStep } from "../core/commands";
import { distance, type Point } from "../core/geometry";
import { GESTURE } from "../core/origin";
import type { OverlayShape, Tone } from "../core/overlay";
import { only, paintable, paintSpans } from "../core/paint";
import { polygonSpans } from "../core/raster";
import type { EditorState } from "../core/state";
import { DRAG_THRESHOLD, type PointerInput, type Tool, type ToolContext } from "./tool";

interface Shape {
  readonly points: readonly Point[];
  readonly tone: Tone;
}

type Phase =
  | { readonly kind: "idle" }
  /** `last` is where the pointer was lifted; null once a corner was taken back. */
  | { readonly kind: "corners"; readonly shape: Shape; readonly last: Point | null }
  | { readonly kind: "pointing"; readonly shape: Shape; readonly from: Point }
  | { readonly kind: "freehand"; readonly shape: Shape };

/** A click this near the first corner closes the shape, in CSS pixels. */
const CLOSE_REACH = 5;
const CLOSED = "The polygon is closed";

export class Polygon implements Tool {
  readonly name = "polygon";
  readonly cursor = "crosshair";
  private phase: Phase = { kind: "idle" };
  /** Corners taken back, to be put there again. */
  private taken: readonly Point[] = [];

  get busy(): boolean {
    return this.phase.kind !== "idle";
  }

  get redoable(): boolean {
    return this.taken.length > 0;
  }

  pointerDown(context: ToolContext, input: PointerInput): void {
    const { at, screen } = input;
    if (this.phase.kind === "corners") {
      const { shape: before, last } = this.phase;
      const shape = { ...before, tone: toneOf(context.state, input, before.tone) };
      const again = last !== null && distance(at, last) * context.scale < DRAG_THRESHOLD;
      if (again || closes(shape, at, context.scale)) {
        this.close(context, shape);
        context.ended?.(CLOSED);
        return;
      }
      const points = [...shape.points, at];
      this.taken = [];
      this.phase = { kind: "pointing", shape: { ...shape, points }, from: screen };
    } else if (this.phase.kind === "idle") {
      const shape = { points: [at], tone: toneOf(context.state, input) };
      this.phase = { kind: "pointing", shape, from: screen };
    }
  }

  pointerMove(_context: ToolContext, { at, screen }: PointerInput): void {
    if (this.phase.kind === "pointing" && distance(screen, this.phase.from) >= DRAG_THRESHOLD) {
      this.phase = { kind: "freehand", shape: this.phase.shape };
    }
    if (this.phase.kind !== "freehand") return;
    const { shape } = this.phase;
    this.phase = { kind: "freehand", shape: { ...shape, points: [...shape.points, at] } };
  }

  pointerUp(context: ToolContext, { at }: PointerInput): void {
    if (this.phase.kind === "freehand") {
      this.close(context, this.phase.shape);
      context.ended?.(CLOSED);
    } else if (this.phase.kind === "pointing") {
      this.phase = { kind: "corners", shape: this.phase.shape, last: at };
    }
  }

  cancel(): void {
    this.phase = { kind: "idle" };
    this.taken = [];
  }

  key(context: ToolContext, key: string): boolean {
    if (this.phase.kind !== "corners") return false;
    if (key === "Enter") this.close(context, this.phase.shape);
    else if (key === "Backspace" || key === "Delete") this.undo();
    else return false;
    return true;
  }

  undo(): boolean {
    const { busy, phase } = this;
    if (phase.kind === "corners") {
      const { points } = phase.shape;
      this.taken = [...this.taken, ...points.slice(-1)];
      if (points.length === 1) this.cancel();
      else this.setCorners({ ...phase.shape, points: points.slice(0, -1) });
    }
    return busy;
  }

  redo(): boolean {
    const { phase, taken } = this;
    if (phase.kind === "corners") {
      const points = [...phase.shape.points, ...taken.slice(-1)];
      this.taken = taken.slice(0, -1);
      this.setCorners({ ...phase.shape, points });
    }
    return this.busy;
  }

  overlay(_state: EditorState, pointer: Point | null, scale = 1): OverlayShape[] {
    if (this.phase.kind === "idle") return [];
    const { shape } = this.phase;
    const { points, tone } = shape;
    const corners = this.phase.kind !== "freehand";
    const shown = corners && pointer !== null ? [...points, pointer] : points;
    const closing = this.phase.kind === "corners" && pointer !== null;
    return [
      {
        ...{ kind: "path", points: shown, closed: !corners, vertices: corners, tone },
        closing: closing && points.length > 2 && closes(shape, pointer, scale),
      },
    ];
  }

  private setCorners(shape: Shape): void {
    this.phase = { kind: "corners", shape, last: null };
  }

  private close(context: ToolContext, shape: Shape): void {
    this.cancel();
    const { doc, options, selection } = context.state;
    const spans = polygonSpans(shape.points, doc.labels.box);
    const [selected] = selection;
    const steps = [];
    let label = selected ?? 0;
    if (shape.tone === "remove") {
      steps.push(paintSpans(doc.labels, spans, 0, only(selection)));
    } else {
      if (shape.tone === "add" || selected === undefined) label = doc.highest + 1;
      steps.push(paintSpans(doc.labels, spans, label, paintable(options.mode)));
    }
    if (steps.every((step) => step.isEmpty)) return;
    const opening = label > doc.highest ? [newCellStep(label, options.brushMeta)] : [];
    const name = shape.tone === "remove" ? "Cut polygon" : GESTURE.polygon;
    const chosen = shape.tone === "remove" ? selection : new Set([label]);
    context.dispatch({ kind: "edit", name, steps: [...opening, ...steps], selection: chosen });
    context.dispatch({ kind: "set", options: { startNew: false } });
  }
}

/** Would a click here close the shape? Corners are image points: the view may have moved since. */
function closes({ points: [first] }: Shape, at: Point, scale: number): boolean {
  return first !== undefined && distance(at, first) * scale <= CLOSE_REACH;
}

/** "select" stands for: add to the selected cell. */
function toneOf(state: EditorState, input: PointerInput, before: Tone = "add"): Tone {
  if (state.selection.size === 0) return "add";
  if (input.alt) return "remove";
  return input.shift ? "select" : before;
}
