/**
 * Select: a click takes the cell under it, Shift toggles. A drag takes all cells in the box; with
 * Alt, or as the lasso tool, those that lie by half or more inside the drawn loop.
 */
import { boxAround, intersect, distance, type Box, type Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { EditorState } from "../core/state";
import { boxSpans, labelsUnder } from "../core/paint";
import { polygonSpans } from "../core/raster";
import { DRAG_THRESHOLD, labelUnder, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "pointing"; readonly from: PointerInput }
  | { readonly kind: "banding"; readonly from: PointerInput; readonly to: Point }
  | { readonly kind: "looping"; readonly points: readonly Point[] };

export class Select implements Tool {
  private phase: Phase = { kind: "idle" };

  constructor(readonly name: "select" | "lasso" = "select") {}

  get cursor(): string {
    return this.name === "lasso" ? "crosshair" : "default";
  }

  get busy(): boolean {
    return this.phase.kind !== "idle";
  }

  pointerDown(_context: ToolContext, input: PointerInput): void {
    this.phase = { kind: "pointing", from: input };
  }

  pointerMove(_context: ToolContext, { at, screen }: PointerInput): void {
    const { phase } = this;
    if (phase.kind === "looping") {
      this.phase = { kind: "looping", points: [...phase.points, at] };
    } else if (phase.kind === "banding") {
      this.phase = { ...phase, to: at };
    } else if (phase.kind === "pointing") {
      const { from } = phase;
      if (distance(screen, from.screen) < DRAG_THRESHOLD) return;
      const loops = this.name === "lasso" || from.alt;
      this.phase = loops
        ? { kind: "looping", points: [from.at, at] }
        : { kind: "banding", from, to: at };
    }
  }

  pointerUp(context: ToolContext, input: PointerInput): void {
    const { phase } = this;
    this.phase = { kind: "idle" };
    if (phase.kind === "pointing") this.click(context, phase.from);
    const { state } = context;
    if (phase.kind === "banding") {
      this.take(context, cellsIn(state, boxAround(phase.from.at, input.at)), input);
    }
    if (phase.kind === "looping") {
      this.take(context, cellsLooped(state, phase.points), input);
      context.ended?.("The loop is closed");
    }
  }

  cancel(): void {
    this.phase = { kind: "idle" };
  }

  key(): boolean {
    return false;
  }

  overlay(): OverlayShape[] {
    if (this.phase.kind === "looping") {
      const { points } = this.phase;
      return [{ kind: "path", points, closed: true, vertices: false, tone: "select" }];
    }
    if (this.phase.kind !== "banding") return [];
    return [{ kind: "box", box: boxAround(this.phase.from.at, this.phase.to), tone: "select" }];
  }

  private click({ state, dispatch }: ToolContext, { at, shift }: PointerInput): void {
    const label = labelUnder(state, at);
    if (!shift) {
      dispatch({ kind: "select", selection: new Set(label === 0 ? [] : [label]) });
      return;
    }
    if (label === 0) return;
    const selection = new Set(state.selection);
    if (!selection.delete(label)) selection.add(label);
    dispatch({ kind: "select", selection });
  }

  private take(
    { state, dispatch }: ToolContext,
    found: ReadonlySet<number>,
    { shift }: PointerInput,
  ): void {
    const selection = shift ? new Set([...state.selection, ...found]) : found;
    dispatch({ kind: "select", selection });
  }
}

/** Cells with a pixel in the band. */
function cellsIn(state: EditorState, band: Box): Set<number> {
  const pixels = {
    x0: Math.floor(band.x0),
    y0: Math.floor(band.y0),
    x1: Math.ceil(band.x1),
    y1: Math.ceil(band.y1),
  };
  const inside = intersect(pixels, state.doc.labels.box);
  return inside === null ? new Set() : labelsUnder(state.doc.labels, boxSpans(inside));
}

/** Cells of which at least half lies in the loop: its neighbours may be brushed. */
function cellsLooped({ doc }: EditorState, loop: readonly Point[]): Set<number> {
  const inside = new Map<number, number>();
  for (const { y, x0, x1 } of polygonSpans(loop, doc.labels.box)) {
    for (let x = x0; x < x1; x++) {
      const label = doc.labels.at(x, y);
      inside.set(label, (inside.get(label) ?? 0) + 1);
    }
  }
  const taken = [...inside].filter(([label, count]) => {
    return 2 * count >= (doc.geometry.get(label)?.area ?? Infinity);
  });
  return new Set(taken.map(([label]) => label));
}
