/**
 * Polygon and lasso in one: clicks set corners, a drag draws freehand. Closing (a click on the
 * first corner, a double click or Enter) fills the shape as a new cell; Shift adds it to the
 * selected cell, Alt takes it away from there.
 */
import { newCellStep } from "../core/commands";
import { distance, type Point } from "../core/geometry";
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
const CLOSE_REACH = 9;

export class Polygon implements Tool {
  readonly name = "polygon";
  readonly cursor = "crosshair";
  private phase: Phase = { kind: "idle" };

  get busy(): boolean {
    return this.phase.kind !== "idle";
  }

  pointerDown(context: ToolContext, input: PointerInput): void {
    const { at, screen } = input;
    if (this.phase.kind === "corners") {
      const { shape, last } = this.phase;
      // Corners are image points: the view may have moved since they were set.
      const near = (point: Point | null | undefined, reach: number): boolean =>
        point != null && distance(at, point) * context.scale < reach;
      if (near(last, DRAG_THRESHOLD) || near(shape.points[0], CLOSE_REACH)) {
        this.close(context, shape);
        return;
      }
      const points = [...shape.points, at];
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
    if (this.phase.kind === "freehand") this.close(context, this.phase.shape);
    else if (this.phase.kind === "pointing") {
      this.phase = { kind: "corners", shape: this.phase.shape, last: at };
    }
  }

  cancel(): void {
    this.phase = { kind: "idle" };
  }

  key(context: ToolContext, key: string): boolean {
    if (this.phase.kind !== "corners") return false;
    const { shape } = this.phase;
    if (key === "Enter") {
      this.close(context, shape);
      return true;
    }
    if (key !== "Backspace" && key !== "Delete") return false;
    const points = shape.points.slice(0, -1);
    this.phase =
      points.length === 0
        ? { kind: "idle" }
        : { kind: "corners", shape: { ...shape, points }, last: null };
    return true;
  }

  overlay(_state: EditorState, pointer: Point | null): OverlayShape[] {
    if (this.phase.kind === "idle") return [];
    const { points, tone } = this.phase.shape;
    const corners = this.phase.kind !== "freehand";
    const shown = corners && pointer !== null ? [...points, pointer] : points;
    return [{ kind: "path", points: shown, closed: !corners, vertices: corners, tone }];
  }

  private close(context: ToolContext, shape: Shape): void {
    this.phase = { kind: "idle" };
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
    const name = shape.tone === "remove" ? "Cut polygon" : "Polygon";
    const chosen = shape.tone === "remove" ? selection : new Set([label]);
    context.dispatch({ kind: "edit", name, steps: [...opening, ...steps], selection: chosen });
    context.dispatch({ kind: "set", options: { startNew: false } });
  }
}

/** "select" stands for: add to the selected cell. */
function toneOf(state: EditorState, input: PointerInput): Tone {
  if (state.selection.size === 0) return "add";
  if (input.alt) return "remove";
  return input.shift ? "select" : "add";
}
