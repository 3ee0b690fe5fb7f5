/** Cells taken apart: cut in pieces that become cells, or freed of their stray pieces. */
import { UNTYPED, type MaskDocument } from "./document";
import { intersect, unite, type Box, type Point, type Span } from "./geometry";
import type { LabelImage } from "./labelImage";
import type { Rule } from "./paint";
import { components, cutOut, spansWhere, type Components } from "./regions";
import { CellsStep, type MetaChange, type PaintStep, type Step } from "./steps";
import { repaint } from "./windows";

/** A cell cut up: 1, 2, … per pixel of a box around it; what is at 0 keeps its label. */
export interface Partition {
  readonly label: number;
  readonly box: Box;
  readonly pieces: Int32Array;
}

export interface Division {
  readonly steps: readonly Step[];
  /** The labels of all pieces, those that kept theirs included. */
  readonly labels: ReadonlySet<number>;
}

/**
 * The largest piece of each cell keeps label and type, the others become cells of the same type
 * under new labels. A cell of fewer than two pieces stays as it is.
 */
export function divide(doc: MaskDocument, partitions: Iterable<Partition>): Division {
  const changes: MetaChange[] = [];
  const paints: PaintStep[] = [];
  const labels = new Set<number>();
  let highest = doc.highest;
  for (const partition of partitions) {
    const names = namesOf(partition, highest);
    if (names.size < 2) continue;
    const { label, box, pieces } = partition;
    const after = doc.labels.read(box);
    for (let at = 0; at < pieces.length; at++) {
      const piece = pieces[at] as number;
      if (piece !== 0) after[at] = names.get(piece) ?? label;
    }
    paints.push(repaint(doc.labels, box, after));
    const meta = doc.meta.get(label) ?? UNTYPED;
    for (const name of names.values()) {
      labels.add(name);
      if (name !== label) changes.push({ label: name, before: null, after: meta });
    }
    highest += names.size - 1;
  }
  return { steps: changes.length === 0 ? [] : [new CellsStep(changes), ...paints], labels };
}

/** Which label each piece has from now on. */
function namesOf({ label, pieces }: Partition, highest: number): Map<number, number> {
  const areas = new Map<number, number>();
  for (const piece of pieces) if (piece !== 0) areas.set(piece, (areas.get(piece) ?? 0) + 1);
  const numbers = [...areas.keys()].sort((a, b) => a - b);
  const kept = largest(numbers, (piece) => areas.get(piece) ?? 0);
  let next = highest + 1;
  return new Map(numbers.map((piece) => [piece, piece === kept ? label : next++]));
}

/** The first of the largest; undefined of none. */
function largest(items: readonly number[], sizeOf: (item: number) => number): number | undefined {
  const [first] = items;
  if (first === undefined) return undefined;
  return items.reduce((best, item) => (sizeOf(item) > sizeOf(best) ? item : best), first);
}

/** A cell by its connected pieces (diagonal neighbours touch); null when it has no pixels. */
export function connectedPieces(doc: MaskDocument, label: number): Partition | null {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined) return null;
  const { box } = geometry;
  return { label, box, pieces: components(cutOut(doc, label, box)).pieces };
}

/** The step that erases all of a cell but its largest piece; null when there is one at most. */
export function withoutStrays(doc: MaskDocument, label: number): PaintStep | null {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined) return null;
  const { pieces, areas } = components(cutOut(doc, label, geometry.box));
  if (areas.length < 2) return null;
  const kept = largestPiece({ pieces, areas });
  const after = doc.labels.read(geometry.box);
  for (let at = 0; at < pieces.length; at++) {
    if (pieces[at] !== 0 && pieces[at] !== kept) after[at] = 0;
  }
  return repaint(doc.labels, geometry.box, after);
}

/** Where each piece of a cell but the largest lies. */
export function strayBoxes(doc: MaskDocument, label: number): Box[] {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined) return [];
  const { x0, y0, x1 } = geometry.box;
  const { pieces, areas } = components(cutOut(doc, label, geometry.box));
  const kept = largestPiece({ pieces, areas });
  const found = new Map<number, Box>();
  pieces.forEach((piece, at) => {
    if (piece === 0 || piece === kept) return;
    const x = x0 + (at % (x1 - x0));
    const y = y0 + Math.floor(at / (x1 - x0));
    const pixel = { x0: x, y0: y, x1: x + 1, y1: y + 1 };
    const known = found.get(piece);
    found.set(piece, known === undefined ? pixel : unite(known, pixel));
  });
  return [...found.values()];
}

/** The number of the largest piece, the first of equals; 0 when there is none. */
export function largestPiece({ areas }: Components): number {
  const numbers = areas.map((_, index) => index + 1);
  return largest(numbers, (piece) => areas[piece - 1] ?? 0) ?? 0;
}

/**
 * What of some spans may become one new cell: inside the image, where the rule allows it, the
 * connected piece that holds `at`, else the largest.
 */
export function freePiece(
  labels: LabelImage,
  spans: readonly Span[],
  { rule, at }: { readonly rule: Rule; readonly at: Point | null },
): Span[] {
  const inside = spans.flatMap(({ y, x0, x1 }) => {
    const row = intersect({ x0, y0: y, x1, y1: y + 1 }, labels.box);
    return row === null ? [] : [row];
  });
  const [first] = inside;
  if (first === undefined) return [];
  const box = inside.reduce(unite, first);
  const width = box.x1 - box.x0;
  const present = labels.read(box);
  const values = new Uint8Array(present.length);
  for (const { x0, y0, x1 } of inside) {
    const start = (y0 - box.y0) * width - box.x0;
    for (let x = x0; x < x1; x++) values[start + x] = Number(rule(present[start + x] as number));
  }
  const window = { values, width, height: box.y1 - box.y0 };
  const found = components(window);
  const held = at === null ? 0 : pieceAt(found.pieces, box, at);
  const chosen = held === 0 ? largestPiece(found) : held;
  return chosen === 0 ? [] : spansWhere(window, box, (index) => found.pieces[index] === chosen);
}

function pieceAt(pieces: Int32Array, box: Box, at: Point): number {
  const x = Math.floor(at.x) - box.x0;
  const y = Math.floor(at.y) - box.y0;
  const width = box.x1 - box.x0;
  return x < 0 || x >= width || y < 0 ? 0 : (pieces[y * width + x] ?? 0);
}
