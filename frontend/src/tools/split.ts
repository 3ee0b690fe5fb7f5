/**
 * Split: a line drawn across cells cuts them; clicks set seeds instead, among which Enter (or a
 * second click on the last seed) divides the cell they lie in.
 */
import { splitAlong, splitFrom } from "../core/corrections";
import { distance, type Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import { DRAG_THRESHOLD, labelUnder, type PointerInput, type Tool, type ToolContext } from "./tool";

type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "seeding" }
  | { readonly kind: "pointing"; readonly from: PointerInput }
  | { readonly kind: "cutting"; readonly points: readonly Point[] };

/** px², and of the largest part: less than both is rather a line that missed than a cell. */
const SLIVER = 15;
const SLIVER_SHARE = 0.1;
/** So is less than this share of the largest part, however many px² it is. */
const CLIPPED_SHARE = 0.03;
const ENDED = "The cell is split";
export const NOT_CROSSED = "The line does not cross a cell: begin and end outside it.";

export class Split implements Tool {
  readonly name = "split";
  readonly cursor = "crosshair";
  private phase: Phase = { kind: "idle" };
  private seeds: readonly Point[] = [];
  /** Seeds taken back, to be put there again. */
  private taken: readonly Point[] = [];

  get busy(): boolean {
    return this.phase.kind !== "idle";
  }

  get redoable(): boolean {
    return this.taken.length > 0;
  }

  pointerDown(_context: ToolContext, input: PointerInput): void {
    this.phase = { kind: "pointing", from: input };
  }

  pointerMove(_context: ToolContext, { at, screen }: PointerInput): void {
    if (this.phase.kind === "cutting") {
      this.phase = { kind: "cutting", points: [...this.phase.points, at] };
    } else if (this.phase.kind === "pointing") {
      const { from } = this.phase;
      if (distance(screen, from.screen) < DRAG_THRESHOLD) return;
      this.phase = { kind: "cutting", points: [from.at, at] };
    }
  }

  pointerUp(context: ToolContext): void {
    const { phase } = this;
    if (phase.kind === "pointing") this.click(context, phase.from.at);
    else if (phase.kind === "cutting") {
      const cut = splitAlong(phase.points)(context.state, context.dispatch);
      if (cut) {
        warnOfSlivers(context);
        context.ended?.(ENDED);
      } else context.say?.(NOT_CROSSED);
      this.keep(cut ? [] : this.seeds);
    }
  }

  cancel(): void {
    this.keep([]);
  }

  key(context: ToolContext, key: string): boolean {
    if (this.phase.kind !== "seeding") return false;
    if (key === "Enter") this.divide(context);
    else if (key === "Backspace" || key === "Delete") this.undo();
    else return false;
    return true;
  }

  undo(): boolean {
    const { busy, seeds, taken } = this;
    if (this.phase.kind === "seeding") {
      this.keep(seeds.slice(0, -1));
      if (this.busy) this.taken = [...taken, ...seeds.slice(-1)];
    }
    return busy;
  }

  redo(): boolean {
    const { seeds, taken } = this;
    if (this.phase.kind === "seeding") {
      this.keep([...seeds, ...taken.slice(-1)]);
      this.taken = taken.slice(0, -1);
    }
    return this.busy;
  }

  overlay(): OverlayShape[] {
    const shapes: OverlayShape[] = this.seeds.map((at) => ({ kind: "seed", at }));
    if (this.phase.kind === "cutting") {
      const { points } = this.phase;
      shapes.push({ kind: "path", points, closed: false, vertices: false, tone: "select" });
    }
    return shapes;
  }

  private click(context: ToolContext, at: Point): void {
    const last = this.seeds.at(-1);
    if (last !== undefined && distance(at, last) * context.scale < DRAG_THRESHOLD) {
      if (this.divide(context)) context.ended?.(ENDED);
    } else {
      this.keep(labelUnder(context.state, at) === 0 ? this.seeds : [...this.seeds, at]);
    }
  }

  /** Seeds that divide nothing stay: one more click may do. */
  private divide(context: ToolContext): boolean {
    const done = splitFrom(this.seeds)(context.state, context.dispatch);
    this.keep(done ? [] : this.seeds);
    return done;
  }

  private keep(seeds: readonly Point[]): void {
    this.seeds = seeds;
    this.taken = [];
    this.phase = { kind: seeds.length === 0 ? "idle" : "seeding" };
  }
}

/** After a cut its parts are selected. */
function warnOfSlivers({ state, say }: ToolContext): void {
  const areas = [...state.selection].map((label) => state.doc.geometry.get(label)?.area ?? SLIVER);
  const [least, most] = [Math.min(...areas), Math.max(...areas)];
  if (least < Math.max(Math.min(SLIVER, SLIVER_SHARE * most), CLIPPED_SHARE * most)) {
    say?.(`Only ${least} px² were cut off: undo it, or delete the sliver.`);
  }
}
