/** Cells put together over a narrow gap become one piece: the background between is taken in. */
import { boxOfCells, type MaskDocument } from "./document";
import type { Span } from "./geometry";
import { components, spansWhere, type Components, type Window } from "./regions";

/** The widest gap that is closed, in pixels. */
const WIDEST = 2;

/** The background pixels in gaps of at most two pixels between the pieces of some cells. */
export function gapSpans(doc: MaskDocument, cells: Iterable<number>): Span[] {
  const labels = new Set(cells);
  const box = boxOfCells(doc, labels);
  if (box === null) return [];
  const present = doc.labels.read(box);
  const values = Uint8Array.from(present, (label) => Number(label !== 0 && labels.has(label)));
  const window = { values, width: box.x1 - box.x0, height: box.y1 - box.y0 };
  const found = components(window);
  if (found.areas.length < 2) return [];
  return spansWhere(window, box, (at) => present[at] === 0 && isBetween(window, found, at));
}

/** So near two pieces that a way over it, from one to the other, crosses no more than the gap. */
function isBetween(window: Window, found: Components, at: number): boolean {
  if (distances(window, found, { at, reach: 1 }).size === 0) return false;
  const near = distances(window, found, { at, reach: WIDEST });
  const [first = Infinity, second = Infinity] = [...near.values()].sort((a, b) => a - b);
  return first + second <= WIDEST + 1;
}

/** How far a pixel is from each piece that it reaches. */
function distances(
  { width, height }: Window,
  { pieces }: Components,
  { at, reach }: { readonly at: number; readonly reach: number },
): Map<number, number> {
  const near = new Map<number, number>();
  const y = Math.floor(at / width);
  const x = at - y * width;
  for (let row = Math.max(0, y - reach); row <= Math.min(height - 1, y + reach); row++) {
    for (let column = Math.max(0, x - reach); column <= Math.min(width - 1, x + reach); column++) {
      const piece = pieces[row * width + column] as number;
      if (piece === 0) continue;
      const distance = Math.hypot(row - y, column - x);
      near.set(piece, Math.min(distance, near.get(piece) ?? Infinity));
    }
  }
  return near;
}
