/** A hand that drives a tool the way the view does. */
import type { MaskDocument } from "../../src/core/document";
import { openState, transact, type EditorState, type Options } from "../../src/core/state";
import type { PointerInput, Tool, ToolContext, ToolServices } from "../../src/tools/tool";

/** What is held down besides the pointer, and how hard a pen is pressed. */
type Held = Partial<Pick<PointerInput, "shift" | "alt" | "pen" | "pressure">>;

export class Hand {
  state: EditorState;
  readonly panned: [number, number][] = [];
  /** Screen pixels per image pixel. */
  scale = 10;
  services: ToolServices | undefined;
  refreshed = 0;
  /** What the tool said had ended by itself. */
  readonly ended: string[] = [];
  readonly said: string[] = [];

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
      ...(this.services === undefined ? {} : { services: this.services }),
      say: (text) => this.said.push(text),
      refresh: () => this.refreshed++,
      ended: (what) => this.ended.push(what),
    };
  }

  private input(x: number, y: number, held: Held): PointerInput {
    const screen = { x: x * this.scale, y: y * this.scale };
    return { at: { x, y }, screen, shift: false, alt: false, pen: false, pressure: 0.5, ...held };
  }

  down(x: number, y: number, held: Held = {}): this {
    this.tool.pointerDown(this.context(), this.input(x, y, held));
    return this;
  }

  move(x: number, y: number, held: Held = {}): this {
    this.tool.pointerMove(this.context(), this.input(x, y, held));
    return this;
  }

  up(x: number, y: number, held: Held = {}): this {
    this.tool.pointerUp(this.context(), this.input(x, y, held));
    return this;
  }

  click(x: number, y: number, held: Held = {}): this {
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
