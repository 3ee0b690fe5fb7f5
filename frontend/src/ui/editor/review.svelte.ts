/** Review mode: which cell is under review, shown in the middle, and what keys decide about it. */
import { select } from "../../core/commands";
import { cellOf } from "../../core/document";
import { doubts, NO_DOUBT, percent } from "../../core/evidence";
import {
  back,
  cellAt,
  decide,
  follow,
  isFinished,
  remaining,
  reopened,
  startReview,
  step,
  type Decision,
  type Review,
} from "../../core/review";
import type { OverlayShape } from "../../core/overlay";
import type { EditorState, Transaction } from "../../core/state";
import type { Camera } from "../../render/camera";
import type { AskedRegion } from "./asked.svelte";
import type { Opened } from "./opening";
import { keepDecided, readDecided } from "./reviewed";

/** What a review needs of the editor. */
export interface Reviewed {
  readonly opened: Opened;
  readonly asked: AskedRegion;
  readonly state: EditorState;
  readonly settled: EditorState;
  readonly readOnly: boolean;
  readonly dispatch: (transaction: Transaction) => void;
  cancelGesture(): boolean;
  /** True where a preview is in the way of any change. */
  refuse(): boolean;
  readonly camera: Camera;
  moveTo(camera: Camera): void;
  centreOnSelection(usual: number): void;
}

export class Reviewing {
  /** Null outside review mode. */
  current = $state.raw<Review | null>(null);
  /** Only the cells of the region that is asked about are gone through. */
  within = $state(false);
  /** The view that the review began with. */
  private before: Camera | null = null;
  /** The scale that the person chose last. */
  private usual = 1;
  /** The scale that the last cell was shown at. */
  private shownAt: number | null = null;
  readonly finished = $derived.by(
    () => this.current !== null && isFinished(this.current, this.editor.settled),
  );
  readonly left = $derived.by(() =>
    this.current === null ? 0 : remaining(this.current, this.editor.settled).length,
  );
  /** The cell under review and why it is asked about; null when it has no pixels any more. */
  readonly subject = $derived.by(() => {
    const { settled } = this.editor;
    const cell = this.current === null ? null : cellOf(settled.doc, cellAt(this.current));
    if (cell === null) return null;
    const evidence = settled.evidence.get(cell.label);
    const reasons = evidence === undefined ? [] : doubts(evidence);
    const whole = percent(evidence?.uncertainty ?? 0);
    return { ...cell, reasons: reasons.length > 0 ? reasons : [`${NO_DOUBT}: ${whole} in all`] };
  });

  /** Ticks on the cells that were decided and are still there. */
  readonly ticks = $derived.by((): OverlayShape[] => {
    const { geometry } = this.editor.settled.doc;
    return [...(this.current?.decided ?? [])].flatMap((label) => {
      const box = geometry.get(label)?.box;
      if (box === undefined) return [];
      const at = { x: (box.x0 + box.x1) / 2, y: (box.y0 + box.y1) / 2 };
      return [{ kind: "tick", at, tone: "add" }];
    });
  });

  constructor(private readonly editor: Reviewed) {}

  /** Is the cell under review the one selected? Only then keys decide about it. */
  get here(): boolean {
    const { selection } = this.editor.state;
    return this.current !== null && selection.size === 1 && selection.has(cellAt(this.current));
  }

  /** Begin, or look at the next (1) or previous (−1) cell; false when there is none. */
  walk(direction: 1 | -1): boolean {
    this.editor.cancelGesture();
    const { state } = this.editor;
    const review =
      this.current === null ? this.begin(direction) : step(this.current, state, direction);
    if (review === null) return false;
    if (this.current === null) {
      this.before = this.editor.camera;
      this.shownAt = null;
    }
    this.show(review);
    return true;
  }

  private begin(direction: 1 | -1): Review | null {
    const { asked, opened, state } = this.editor;
    const decided = readDecided(opened);
    const { order, within } = asked.orderOfReview(decided);
    this.within = within;
    return startReview(state, direction, decided, order);
  }

  /** Decide and go on. When something else was selected, come back to the cell first. */
  decide(decision: Decision): void {
    if (this.current === null) return;
    this.editor.cancelGesture();
    if (!this.here && this.subject !== null) {
      this.show(this.current);
      return;
    }
    if (this.editor.refuse()) return;
    if (this.editor.readOnly) {
      this.walk(1);
      return;
    }
    const { editor } = this;
    const settled = (): EditorState => editor.settled;
    this.show(decide(this.current, decision, { settled, dispatch: editor.dispatch }));
  }

  back(): void {
    if (this.current === null) return;
    this.editor.cancelGesture();
    this.show(back(this.current, this.editor.state));
  }

  /** What was decided counts when the review goes on later. */
  leave(): void {
    if (this.current !== null && this.before !== null) this.editor.moveTo(this.before);
    this.current = null;
  }

  /** To be called after each transaction: a click or undo may lead to another cell. */
  noticed(transaction: Transaction): void {
    if (this.current === null) return;
    const review = follow(this.current, this.editor.state.selection);
    if (transaction.kind !== "undo" || !this.editor.state.selection.has(cellAt(review))) {
      this.set(review);
      return;
    }
    const again = reopened(review, cellAt(review));
    // An undo within the cell that is looked at moves nothing.
    if (again === this.current) return;
    this.show(again);
  }

  private set(review: Review): void {
    if (review.decided !== this.current?.decided) keepDecided(this.editor.opened, review.decided);
    this.current = review;
  }

  private show(review: Review): void {
    this.set(review);
    const { editor } = this;
    const label = cellAt(review);
    if (editor.state.doc.geometry.get(label) === undefined) return;
    select([label])(editor.state, editor.dispatch);
    if (editor.camera.scale !== this.shownAt) this.usual = editor.camera.scale;
    editor.centreOnSelection(this.usual);
    this.shownAt = editor.camera.scale;
  }
}
