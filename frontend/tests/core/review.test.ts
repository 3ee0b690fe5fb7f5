import { describe, expect, it } from "vitest";
import { deleteCells, mergeCells } from "../../src/core/commands";
import type { Evidence } from "../../src/core/evidence";
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
} from "../../src/core/review";
import { openState, transact, type EditorState, type Transaction } from "../../src/core/state";
import { picture } from "./drawing";

const opinion = (uncertainty: number): Evidence => ({
  score: 1,
  probabilities: {},
  uncertainty,
  terms: {},
  seenBy: "both",
});

class Reviewer {
  state: EditorState;
  review: Review;

  constructor(direction: 1 | -1 = 1, selected: number[] = []) {
    const doc = picture(
      ["11.22.33.44"],
      [
        [1, { type: "HEK", source: "model" }],
        [2, { type: "HEK", source: "file_name" }],
        [3, { type: null, source: "" }],
      ],
    );
    const doubts = new Map([1, 2, 3].map((label) => [label, opinion(label / 4)]));
    this.state = openState(doc, doubts);
    this.dispatch({ kind: "select", selection: new Set(selected) });
    this.review = startReview(this.state, direction) as Review;
  }

  readonly dispatch = (transaction: Transaction): void => {
    this.state = transact(this.state, transaction);
  };

  decide(...decisions: Decision[]): this {
    for (const decision of decisions) {
      const { dispatch } = this;
      this.review = decide(this.review, decision, { settled: () => this.state, dispatch });
    }
    return this;
  }

  get at(): number {
    return cellAt(this.review);
  }
}

const accept: Decision = { kind: "accept" };
const remove: Decision = { kind: "remove" };
const retype = (type: string | null): Decision => ({ kind: "retype", type });

describe("a review", () => {
  it("goes from the most to the least uncertain cell; cells no model saw stay out", () => {
    const reviewer = new Reviewer();
    expect(reviewer.review.order).toEqual([3, 2, 1]);
    expect(reviewer.at).toBe(3);
    expect(new Reviewer(-1).at).toBe(1);
  });

  it("begins with the most or the least uncertain cell, whatever is selected", () => {
    expect(new Reviewer(1, [2]).at).toBe(3);
    expect(new Reviewer(-1, [2]).at).toBe(1);
    const { state } = new Reviewer();
    expect(cellAt(startReview(state, 1, new Set([3])) as Review)).toBe(2);
  });

  it("does not begin where no model said anything", () => {
    expect(startReview(openState(picture(["11"])), 1)).toBeNull();
  });

  it("accepting confirms by hand what the model gave, and nothing else", () => {
    const { state } = new Reviewer().decide(accept, accept, accept);
    expect(state.doc.meta.get(1)).toEqual({ type: "HEK", source: "human" });
    expect(state.doc.meta.get(2)).toEqual({ type: "HEK", source: "file_name" });
    expect(state.doc.meta.get(3)).toEqual({ type: null, source: "" });
    expect(state.history.done).toHaveLength(1);
  });

  it("each decision goes on to the next cell, until nothing is left", () => {
    const reviewer = new Reviewer().decide(retype("N2a"));
    expect(reviewer.state.doc.meta.get(3)).toEqual({ type: "N2a", source: "human" });
    expect(reviewer.at).toBe(2);
    reviewer.decide(remove);
    expect(reviewer.state.doc.geometry.get(2)).toBeUndefined();
    expect(reviewer.at).toBe(1);
    expect(isFinished(reviewer.review, reviewer.state)).toBe(false);
    reviewer.decide(accept);
    expect(isFinished(reviewer.review, reviewer.state)).toBe(true);
    expect(reviewer.at).toBe(1);
  });

  it("keeps its order whatever the decisions do to the cells", () => {
    const { review } = new Reviewer().decide(remove, retype("N2a"));
    expect(review.order).toEqual([3, 2, 1]);
  });

  it("looked past, a cell is still to be decided and comes again at the end", () => {
    const reviewer = new Reviewer();
    reviewer.review = step(reviewer.review, reviewer.state, 1);
    expect(reviewer.at).toBe(2);
    reviewer.decide(accept, accept);
    expect(reviewer.at).toBe(3);
    expect(remaining(reviewer.review, reviewer.state)).toEqual([3]);
  });

  it("passes over cells that are gone by now", () => {
    const reviewer = new Reviewer();
    mergeCells([1, 2])(reviewer.state, reviewer.dispatch);
    expect(reviewer.decide(accept).at).toBe(1);
    deleteCells(new Set([1]))(reviewer.state, reviewer.dispatch);
    expect(isFinished(reviewer.review, reviewer.state)).toBe(true);
  });

  it("going back opens the decision again, over deleted cells, and stops at the first", () => {
    const reviewer = new Reviewer().decide(accept, remove);
    reviewer.review = back(reviewer.review, reviewer.state);
    expect(reviewer.at).toBe(3);
    expect(remaining(reviewer.review, reviewer.state)).toEqual([3, 1]);
    expect(back(reviewer.review, reviewer.state)).toBe(reviewer.review);
  });

  it("undo brings a removed cell back under review", () => {
    const reviewer = new Reviewer(1, [3]).decide(remove);
    reviewer.dispatch({ kind: "undo" });
    reviewer.review = follow(reviewer.review, reviewer.state.selection);
    reviewer.review = reopened(reviewer.review, reviewer.at);
    expect(reviewer.at).toBe(3);
    expect(remaining(reviewer.review, reviewer.state)).toEqual([3, 2, 1]);
  });

  it("wraps around in both directions", () => {
    const { review, state } = new Reviewer();
    expect(cellAt(step(review, state, -1))).toBe(1);
  });
});
