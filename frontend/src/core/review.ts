/**
 * Review: the cells in doubt, one after the other, each decided by a key. The order stays as it
 * was at the start, so that decisions do not shuffle what is still to come.
 */
import { assignType, byUncertainty, deleteCells } from "./commands";
import type { Dispatch, EditorState } from "./state";

export interface Review {
  /** All cells to be reviewed, most uncertain first; deleted ones keep their place. */
  readonly order: readonly number[];
  /** Where in the order the review is. */
  readonly at: number;
  readonly decided: ReadonlySet<number>;
}

export const NOTHING_DECIDED: ReadonlySet<number> = new Set();

export type Decision =
  | { readonly kind: "accept" }
  | { readonly kind: "retype"; readonly type: string | null }
  | { readonly kind: "remove" };

/**
 * Begin with the most uncertain cell (1) or the least (−1) that is not decided yet, whatever is
 * selected. Null when the models said nothing of any cell.
 */
export function startReview(
  state: EditorState,
  direction: 1 | -1,
  decided = NOTHING_DECIDED,
  order: readonly number[] = byUncertainty(state),
): Review | null {
  if (order.length === 0) return null;
  const from = direction === 1 ? -1 : order.length;
  const review = { order, at: from, decided };
  const found = search(review, direction, (label) => !decided.has(label));
  return found === review ? { ...review, at: 0 } : found;
}

export function cellAt({ order, at }: Review): number {
  return order[at] as number;
}

/** Is nothing left to decide? Deleted and merged cells need no decision. */
export function isFinished(review: Review, state: EditorState): boolean {
  return remaining(review, state).length === 0;
}

export function remaining({ order, decided }: Review, state: EditorState): number[] {
  return order.filter((label) => alive(state, label) && !decided.has(label));
}

/** The next (1) or previous (−1) living cell, decided or not; wraps around. */
export function step(review: Review, state: EditorState, direction: 1 | -1): Review {
  return search(review, direction, (label) => alive(state, label));
}

/** The next living cell without a decision, wrapping around; stays when there is none. */
function advance(review: Review, state: EditorState): Review {
  return search(review, 1, (label) => alive(state, label) && !review.decided.has(label));
}

/** One back, over deleted cells; what was decided there is open again. */
export function back(review: Review, state: EditorState): Review {
  for (let at = review.at - 1; at >= 0; at--) {
    const label = review.order[at] as number;
    if (alive(state, label)) return reopened({ ...review, at }, label);
  }
  return review;
}

/** The cell that was selected otherwise, or brought back by undo, is the one under review. */
export function follow(review: Review, selection: ReadonlySet<number>): Review {
  const [label] = selection.size === 1 ? selection : [];
  const at = label === undefined ? -1 : review.order.indexOf(label);
  return at === -1 || at === review.at ? review : { ...review, at };
}

export function reopened(review: Review, label: number): Review {
  if (!review.decided.has(label)) return review;
  const decided = new Set(review.decided);
  decided.delete(label);
  return { ...review, decided };
}

/** Carry a decision out on the cell under review. `settled` gives the state after `dispatch`. */
export function decide(
  review: Review,
  decision: Decision,
  { settled, dispatch }: { settled: () => EditorState; dispatch: Dispatch },
): Review {
  const label = cellAt(review);
  const state = settled();
  if (!alive(state, label)) return advance(review, state);
  if (decision.kind === "remove") deleteCells(new Set([label]))(state, dispatch);
  else {
    const type = decision.kind === "retype" ? decision.type : confirmed(state, label);
    if (type !== undefined) assignType([label], type)(state, dispatch);
  }
  const decided = new Set(review.decided).add(label);
  return advance({ ...review, decided }, settled());
}

/** The type that accepting a cell confirms; undefined where no model gave it. */
function confirmed(state: EditorState, label: number): string | undefined {
  const meta = state.doc.meta.get(label);
  return meta?.source === "model" ? (meta.type ?? undefined) : undefined;
}

function search(review: Review, direction: 1 | -1, wanted: (label: number) => boolean): Review {
  const { order, at } = review;
  for (let distance = 1; distance <= order.length; distance++) {
    const index = (at + direction * distance + 2 * order.length) % order.length;
    if (wanted(order[index] as number)) return { ...review, at: index };
  }
  return review;
}

function alive(state: EditorState, label: number): boolean {
  return state.doc.geometry.get(label) !== undefined;
}
