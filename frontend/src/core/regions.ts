/** Connected pieces and holes. */
import type { MaskDocument } from "./document";
import { grow, intersect, type Box, type Span } from "./geometry";
import type { LabelImage } from "./labelImage";

/** A row-major image in which non-zero is inside. */
export interface Window {
  readonly values: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface Components {
  /** 1, 2, … per pixel; 0 outside. */
  readonly pieces: Int32Array;
  readonly areas: readonly number[];
}

/** Label the connected pieces; diagonal neighbours connect when `diagonal` is true. */
export function components(window: Window, diagonal = true): Components {
  const { values } = window;
  const pieces = new Int32Array(values.length);
  const areas: number[] = [];
  for (let seed = 0; seed < values.length; seed++) {
    if (values[seed] === 0 || pieces[seed] !== 0) continue;
    areas.push(flood(window, pieces, { seed, piece: areas.length + 1, diagonal }));
  }
  return { pieces, areas };
}

function flood(
  { values, width, height }: Window,
  pieces: Int32Array,
  from: { seed: number; piece: number; diagonal: boolean },
): number {
  const stack = [from.seed];
  pieces[from.seed] = from.piece;
  let area = 0;
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    area++;
    const y = Math.floor(at / width);
    const x = at - y * width;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++) {
        if (!from.diagonal && dx !== 0 && dy !== 0) continue;
        if (x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height) continue;
        const next = at + dy * width + dx;
        if (values[next] === 0 || pieces[next] !== 0) continue;
        pieces[next] = from.piece;
        stack.push(next);
      }
    }
  }
  return area;
}

/** One cell cut out of the label image: where its box is, 1 where the cell is. */
export function cutOut(doc: MaskDocument, label: number, box: Box): Window {
  const labels = doc.labels.read(box);
  const values = new Uint8Array(labels.length);
  for (let index = 0; index < labels.length; index++)
    values[index] = Number(labels[index] === label);
  return { values, width: box.x1 - box.x0, height: box.y1 - box.y0 };
}

/** In how many pieces a cell lies (diagonal neighbours touch); 0 when it has no pixels. */
export function pieceCount(doc: MaskDocument, label: number): number {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined) return 0;
  const parent: number[] = [];
  let above: Stretch[] = [];
  for (let y = geometry.box.y0; y < geometry.box.y1; y++) {
    const row = stretches(doc.labels, label, { y, x0: geometry.box.x0, x1: geometry.box.x1 });
    for (const stretch of row) {
      stretch.id = parent.push(parent.length) - 1;
      for (const other of above) {
        if (other.x0 <= stretch.x1 && stretch.x0 <= other.x1) join(parent, stretch.id, other.id);
      }
    }
    above = row;
  }
  return parent.reduce((count, root, id) => count + Number(root === id), 0);
}

interface Stretch {
  readonly x0: number;
  readonly x1: number;
  id: number;
}

function stretches(labels: LabelImage, label: number, { y, x0, x1 }: Span): Stretch[] {
  const row = labels.read({ x0, y0: y, x1, y1: y + 1 });
  const found: Stretch[] = [];
  let start = row.indexOf(label);
  while (start !== -1) {
    let end = start + 1;
    while (row[end] === label) end++;
    found.push({ x0: x0 + start, x1: x0 + end, id: 0 });
    start = row.indexOf(label, end);
  }
  return found;
}

/** The pixels that a cell encloses: what cannot reach the outside without crossing the cell. */
export function holeSpans(doc: MaskDocument, label: number): Span[] {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined) return [];
  const box = intersect(grow(geometry.box, 1), doc.labels.box) ?? geometry.box;
  const cell = cutOut(doc, label, box);
  return spansWhere(cell, box, holesIn(cell));
}

/** Which pixels outside cannot reach the window's border, up, down, left and right. */
export function holesIn(window: Window): (index: number) => boolean {
  const { width, height } = window;
  const outside = { ...window, values: window.values.map((inside) => 1 - inside) };
  const { pieces } = components(outside, false);
  const open = new Set<number>();
  for (let x = 0; x < width; x++) {
    open.add(pieces[x] as number).add(pieces[(height - 1) * width + x] as number);
  }
  for (let y = 0; y < height; y++) {
    open.add(pieces[y * width] as number).add(pieces[(y + 1) * width - 1] as number);
  }
  return (index) => pieces[index] !== 0 && !open.has(pieces[index] as number);
}

/** The pixels of a window, which lies at `box`, for which `chosen` holds. */
export function spansWhere(
  window: Pick<Window, "width" | "height">,
  box: Box,
  chosen: (index: number) => boolean,
): Span[] {
  const spans: Span[] = [];
  for (let y = 0; y < window.height; y++) {
    let x = 0;
    while (x < window.width) {
      const start = x;
      while (x < window.width && chosen(y * window.width + x)) x++;
      if (x > start) spans.push({ y: box.y0 + y, x0: box.x0 + start, x1: box.x0 + x });
      else x++;
    }
  }
  return spans;
}

/** Labels that lie in more than one piece, found in one pass over a row-major label image. */
export function fragmented(flat: ArrayLike<number>, width: number): Set<number> {
  const runs: Run[] = [];
  const parent: number[] = [];
  let above = 0;
  for (let row = 0; row < flat.length; row += width) {
    const first = runs.length;
    pushRuns(runs, flat, row, width);
    for (let index = first; index < runs.length; index++) {
      parent.push(index);
      const { x0, x1, label } = runs[index] as Run;
      while (above < first && (runs[above] as Run).x1 < x0) above++;
      for (let other = above; other < first && (runs[other] as Run).x0 <= x1; other++) {
        if ((runs[other] as Run).label === label) join(parent, index, other);
      }
    }
    above = first;
  }
  const seen = new Set<number>();
  const broken = new Set<number>();
  runs.forEach(({ label }, index) => {
    if (parent[index] !== index) return;
    if (seen.has(label)) broken.add(label);
    seen.add(label);
  });
  return broken;
}

/** Neighbouring pixels of one cell in a row, x0 ≤ x < x1. */
interface Run {
  readonly x0: number;
  readonly x1: number;
  readonly label: number;
}

function pushRuns(runs: Run[], flat: ArrayLike<number>, row: number, width: number): void {
  let x = 0;
  while (x < width) {
    const label = flat[row + x] as number;
    const x0 = x;
    while (x < width && flat[row + x] === label) x++;
    if (label !== 0) runs.push({ x0, x1: x, label });
  }
}

function rootOf(parent: number[], at: number): number {
  let root = at;
  while (parent[root] !== root) {
    parent[root] = parent[parent[root] as number] as number;
    root = parent[root] as number;
  }
  return root;
}

function join(parent: number[], a: number, b: number): void {
  const first = rootOf(parent, a);
  const second = rootOf(parent, b);
  // The smaller index wins, so that a root is never visited before its members are joined.
  if (first < second) parent[second] = first;
  else parent[first] = second;
}
