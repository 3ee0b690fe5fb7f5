/** A stroke of a round brush: one gesture from press to release, with a ring to show its size. */
import type { Point } from "../core/geometry";
import type { OverlayShape } from "../core/overlay";
import type { EditorState } from "../core/state";
import { brushRadius, type PointerInput, type Tool, type ToolContext, type ToolName } from "./tool";

/** From one sample of the pointer to the next. */
export interface Part {
  readonly from: Point;
  readonly to: Point;
  readonly radius: number;
}

export abstract class Stroke implements Tool {
  abstract readonly name: ToolName;
  readonly cursor = "none";
  protected abstract readonly tone: "add" | "remove" | "select";
  private last: { readonly at: Point; readonly radius: number } | null = null;

  get busy(): boolean {
    return this.last !== null;
  }

  pointerDown(context: ToolContext, input: PointerInput): void {
    this.begin(context, input);
    this.draw(context, input, input.at);
  }

  pointerMove(context: ToolContext, input: PointerInput): void {
    if (this.last !== null) this.draw(context, input, this.last.at);
  }

  pointerUp(context: ToolContext): void {
    if (this.last === null) return;
    this.last = null;
    this.finish(context);
  }

  cancel(context: ToolContext): void {
    if (this.last === null) return;
    this.last = null;
    context.dispatch({ kind: "cancel" });
  }

  key(): boolean {
    return false;
  }

  overlay(state: EditorState, pointer: Point | null): OverlayShape[] {
    if (pointer === null) return [];
    const radius = this.last?.radius ?? state.options.diameter / 2;
    return [{ kind: "ring", centre: pointer, radius, tone: this.tone }];
  }

  /** What is decided once, where the stroke starts. */
  protected abstract begin(context: ToolContext, input: PointerInput): void;
  protected abstract paint(context: ToolContext, part: Part): void;

  protected finish({ dispatch }: ToolContext): void {
    dispatch({ kind: "end" });
  }

  private draw(context: ToolContext, input: PointerInput, from: Point): void {
    const radius = brushRadius(context.state.options, input);
    this.last = { at: input.at, radius };
    this.paint(context, { from, to: input.at, radius });
  }
}
