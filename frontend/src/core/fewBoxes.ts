/**
 * The surroundings of cells as boxes, as the server cuts those of cells that were answered for
 * (inference/rectangles.py): complete regions are stored as boxes, and a cell is none.
 */
import type { Box, Point } from "./geometry";

/** One byte per pixel, row by row; 0: not in it. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly bits: Uint8Array;
}

/** Rows that are cut alike where there is room. */
const ROWS = 3;

export function maskOf(width: number, height: number, has: (at: number) => boolean): Mask {
  const bits = new Uint8Array(width * height);
  for (let at = 0; at < bits.length; at++) bits[at] = Number(has(at));
  return { width, height, bits };
}

/** The mask and all pixels up to `by` rows or columns from it. */
export function grown({ width, height, bits }: Mask, by: number): Mask {
  const wide = widened(bits, by, { length: width, stride: 1, lines: height, apart: width });
  const along = { length: height, stride: width, lines: width, apart: 1 };
  return { width, height, bits: widened(wide, by, along) };
}

interface Lines {
  readonly length: number;
  readonly stride: number;
  readonly lines: number;
  readonly apart: number;
}

function widened(bits: Uint8Array, by: number, { length, stride, lines, apart }: Lines) {
  const out = bits.slice();
  for (let line = 0; line < lines; line++) {
    for (let step = 0; step < length; step++) {
      if (bits[line * apart + step * stride] === 0) continue;
      const [from, to] = [Math.max(0, step - by), Math.min(length - 1, step + by)];
      for (let near = from; near <= to; near++) out[line * apart + near * stride] = 1;
    }
  }
  return out;
}

/**
 * Disjoint boxes that hold all of `least` and nothing beyond `greatest`: fewer than for one of
 * them alone. The masks lie with their corner `at`.
 */
export function fewBoxes(least: Mask, greatest: Mask, at: Point = { x: 0, y: 0 }): Box[] {
  const cut = cutAlike(least, greatest);
  const rest = maskOf(least.width, least.height, (place) => {
    return least.bits[place] === 1 && cut.bits[place] === 0;
  });
  return [...runs(cut), ...runs(rest)].map(({ x0, y0, x1, y1 }) => {
    return { x0: x0 + at.x, y0: y0 + at.y, x1: x1 + at.x, y1: y1 + at.y };
  });
}

/** In each band of rows the columns of `least` in which `greatest` has all of them. */
function cutAlike(least: Mask, greatest: Mask): Mask {
  const { width, height } = least;
  const bits = new Uint8Array(width * height);
  for (let top = 0; top < height; top += ROWS) {
    const end = Math.min(height, top + ROWS);
    for (let x = 0; x < width; x++) {
      let [any, all] = [false, true];
      for (let at = top * width + x; at < end * width; at += width) {
        any ||= least.bits[at] === 1;
        all &&= greatest.bits[at] === 1;
      }
      if (!any || !all) continue;
      for (let at = top * width + x; at < end * width; at += width) bits[at] = 1;
    }
  }
  return { width, height, bits };
}

/** One box per run of a row; runs of equal columns in neighbouring rows are one. */
function runs({ width, height, bits }: Mask): Box[] {
  const found: Box[] = [];
  let above = new Map<string, number>();
  for (let y = 0; y < height; y++) {
    const here = new Map<string, number>();
    for (let x = 0; x < width; x++) {
      if (bits[y * width + x] === 0) continue;
      const x0 = x;
      while (x < width && bits[y * width + x] === 1) x++;
      const place = above.get(`${x0} ${x}`) ?? found.length;
      found[place] = { x0, x1: x, y0: found[place]?.y0 ?? y, y1: y + 1 };
      here.set(`${x0} ${x}`, place);
    }
    above = here;
  }
  return found;
}
