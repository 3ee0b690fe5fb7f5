/** Turns DOM pointer events over the view into tool gestures, panning and pinching. */
import type { Point } from "../../core/geometry";
import { pinched, toImage } from "../../render/camera";
import type { PointerInput, Tool, ToolName } from "../../tools/tool";
import type { Editor } from "./editor.svelte";
import { timed } from "./timing";

const WHEEL_ZOOM = 0.0016;
/** A trackpad's pinch arrives as a wheel with Ctrl and small steps. */
const PINCH_ZOOM = 0.012;
const WHEEL_BRUSH = 0.0015;
/** What a pen turned round reports. */
const PEN_ERASER = 5;

export class Pointers {
  /** Held down: the pointer pans whatever the tool. */
  spaceHeld = false;
  private readonly touches = new Map<number, Point>();
  private active: { readonly id: number; readonly tool: Tool } | null = null;

  constructor(
    private readonly editor: Editor,
    private readonly surface: HTMLElement,
  ) {}

  down(event: PointerEvent): void {
    const screen = this.place(event);
    if (event.pointerType === "touch") this.touches.set(event.pointerId, screen);
    if (this.touches.size === 2) this.dropGesture();
    if (this.active !== null || this.touches.size > 1) return;
    const tool = this.toolOf(event);
    if (tool === null) return;
    this.surface.setPointerCapture(event.pointerId);
    this.active = { id: event.pointerId, tool };
    tool.pointerDown(this.editor.context, this.input(event));
    this.editor.toolVersion++;
  }

  move(event: PointerEvent): void {
    const screen = this.place(event);
    if (this.touches.has(event.pointerId)) {
      if (this.touches.size === 2) this.pinch(event.pointerId, screen);
      this.touches.set(event.pointerId, screen);
    }
    this.editor.pointer = toImage(this.editor.camera, this.editor.view, screen);
    if (this.active?.id !== event.pointerId) return;
    // Every sample since the last frame: fast strokes stay smooth.
    // Browsers give them in secure contexts only, which a plain http:// address is not.
    const samples = "getCoalescedEvents" in event ? event.getCoalescedEvents() : [];
    const { tool } = this.active;
    for (const sample of samples.length > 0 ? samples : [event]) {
      timed("sample", () => {
        tool.pointerMove(this.editor.context, this.input(sample));
      });
    }
    this.editor.toolVersion++;
  }

  up(event: PointerEvent): void {
    this.touches.delete(event.pointerId);
    if (this.active?.id !== event.pointerId) return;
    const { tool } = this.active;
    this.active = null;
    timed("command", () => {
      tool.pointerUp(this.editor.context, this.input(event));
    });
    this.editor.toolVersion++;
  }

  cancel(event: PointerEvent): void {
    this.touches.delete(event.pointerId);
    if (this.active?.id === event.pointerId) this.dropGesture();
  }

  leave(): void {
    if (this.active === null) this.editor.pointer = null;
  }

  wheel(event: WheelEvent): void {
    event.preventDefault();
    const { editor } = this;
    if (event.altKey) {
      this.resizeBrush(event.deltaY);
    } else if (event.shiftKey) {
      editor.panBy(-(event.deltaX || event.deltaY), 0);
    } else {
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 18 : 1;
      const rate = event.ctrlKey ? PINCH_ZOOM : WHEEL_ZOOM;
      editor.zoomBy(Math.exp(-event.deltaY * lines * rate), this.place(event));
    }
  }

  /** The tool in use right now: the chosen one, or the one a button or Space stands for. */
  toolFor(chosen: ToolName): Tool {
    const { tools } = this.editor;
    return this.active?.tool ?? (this.spaceHeld ? tools.pan : tools[chosen]);
  }

  private toolOf(event: PointerEvent): Tool | null {
    const { tools, tool, readOnly } = this.editor;
    if (event.button === 1 || this.spaceHeld) return tools.pan;
    if (event.button === PEN_ERASER) return readOnly ? null : tools.eraser;
    if (event.button === 2) return tool === "brush" && !readOnly ? tools.eraser : null;
    return event.button === 0 ? tools[tool] : null;
  }

  private dropGesture(): void {
    this.active?.tool.cancel(this.editor.context);
    this.active = null;
    this.editor.toolVersion++;
  }

  private pinch(moved: number, to: Point): void {
    const [first, second] = [...this.touches];
    if (first === undefined || second === undefined) return;
    const before = [first[1], second[1]] as const;
    const after = [
      first[0] === moved ? to : first[1],
      second[0] === moved ? to : second[1],
    ] as const;
    this.editor.moveTo(pinched(this.editor.camera, this.editor.view, before, after));
  }

  private resizeBrush(delta: number): void {
    const { diameter } = this.editor.state.options;
    const scaled = Math.round(diameter * Math.exp(-delta * WHEEL_BRUSH));
    const next = scaled === diameter ? diameter - Math.sign(delta) : scaled;
    this.editor.dispatch({ kind: "set", options: { diameter: next } });
  }

  private place(event: MouseEvent): Point {
    const box = this.surface.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private input(event: PointerEvent): PointerInput {
    const screen = this.place(event);
    const at = toImage(this.editor.camera, this.editor.view, screen);
    const { altKey: alt, shiftKey: shift, pressure } = event;
    return { at, screen, shift, alt, pressure, pen: event.pointerType === "pen" };
  }
}
