/** Cells in pieces, brought into view so that a stray of one pixel is seen. */
import { select } from "../../core/commands";
import { boxOfCells } from "../../core/document";
import { centreOf, unite, type Box } from "../../core/geometry";
import { strayBoxes } from "../../core/pieces";
import { fit } from "../../render/camera";
import type { Editor } from "./editor.svelte";

/** CSS pixels per image pixel at which a single pixel is seen. */
const VISIBLE = 5;
const LARGEST = 16;
/** Around what is framed, in image pixels. */
const ROOM = 16;

/** Select cells in pieces, frame them, or their strays where that would be too small, and point. */
export function showPieces(editor: Editor, cells: Iterable<number>): void {
  const labels = [...cells];
  editor.run(select(labels));
  const { doc } = editor.state;
  const whole = boxOfCells(doc, labels);
  const strays = labels.flatMap((label) => strayBoxes(doc, label));
  const [first] = strays;
  if (whole === null || first === undefined) return;
  const frame = [whole, strays.reduce<Box>(unite, first), first].map(widened);
  const seen = (box: Box): boolean => fit(box, editor.view).scale >= VISIBLE;
  const box = frame.find(seen) ?? widened(first);
  const scale = Math.min(LARGEST, fit(box, editor.view).scale);
  editor.moveTo({ centre: centreOf(box), scale });
  editor.pointing.at(strays);
}

function widened({ x0, y0, x1, y1 }: Box): Box {
  return { x0: x0 - ROOM, y0: y0 - ROOM, x1: x1 + ROOM, y1: y1 + ROOM };
}
