// @vitest-environment jsdom
import { expect, it, vi } from "vitest";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { Pointers } from "../../src/ui/editor/pointers";
import { opened } from "./opened";

it("moves are followed where the browser keeps the samples between frames to itself", () => {
  const editor = new Editor(opened(), false);
  const surface = document.createElement("div");
  surface.setPointerCapture = () => undefined;
  const pointers = new Pointers(editor, surface);
  const at = { pointerId: 1, pointerType: "mouse", button: 0, altKey: false, shiftKey: false };
  const event = (x: number): PointerEvent =>
    ({ ...at, pressure: 0.5, clientX: x, clientY: 0 }) as unknown as PointerEvent;
  editor.tool = "pan";
  pointers.down(event(0));
  const moved = vi.spyOn(editor.tools.pan, "pointerMove");
  pointers.move(event(9));
  expect(moved).toHaveBeenCalledOnce();
});
