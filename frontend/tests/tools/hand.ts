/** A hand that drives a tool the way the view does. */
import type { MaskDocument } from "../../src/core/document";
import { openState, transact, type EditorState, type Options } from "../../src/core/state";
import type { PointerInput, Tool, ToolContext } from "../../src/tools/tool";

export class Hand {
  state: EditorState;
  readonly panned: [number, number][] = [];
  /** Screen pixels per image pixel. */
  scale = 10;

  constructor(
    readonly tool: Tool,
    doc: MaskDocument,
    options: Partial<Options> = {},
  ) {
    this.state = openState(doc, new Map(), options);
  }

  private context(): ToolContext {
    const state = () => this.state;
    return {
      get state() {
        return state();
      },
      scale: this.scale,
      dispatch: (transaction) => {
        this.state = transact(this.state, transaction);
      },
      pan: (dx, dy) => this.panned.push([dx, dy]),
    };
  }

  private input(x: number, y: number, held: { shift?: boolean; alt?: boolean }): PointerInput {
    const { shift = false, alt = false } = held;
    return { at: { x, y }, screen: { x: x * this.scale, y: y * this.scale }, shift, alt };
  }

  down(x: number, y: number, held: { shift?: boolean; alt?: boolean } = {}): this {
    this.tool.pointerDown(this.context(), this.input(x, y, held));
    return this;
  }

  move(x: number, y: number, held: { shift?: boolean } = {}): this {
    this.tool.pointerMove(this.context(), this.input(x, y, held));
    return this;
  }

  up(x: number, y: number, held: { shift?: boolean } = {}): this {
    this.tool.pointerUp(this.context(), this.input(x, y, held));
    return this;
  }

  click(x: number, y: number, held: { shift?: boolean; alt?: boolean } = {}): this {
    return this.down(x, y, held).up(x, y, held);
  }

  key(key: string): boolean {
    return this.tool.key(this.context(), key);
  }

  cancel(): this {
    this.tool.cancel(this.context());
    return this;
  }

  select(...labels: number[]): this {
    this.state = transact(this.state, { kind: "select", selection: new Set(labels) });
    return this;
  }
}
