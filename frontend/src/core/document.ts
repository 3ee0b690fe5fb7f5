/** What is being corrected: a label image and its cells, as one immutable value. */
import { sameBox, uniteAll, type Box } from "./geometry";
import { LabelImage } from "./labelImage";
import { Table } from "./table";

/** Who gave a cell its type; "" while it has none. */
export type TypeSource = "human" | "file_name" | "model" | "";

export interface CellMeta {
  readonly type: string | null;
  readonly source: TypeSource;
}

/** Derived from the pixels: area in px², smallest box that holds them. */
export interface CellGeometry {
  readonly area: number;
  readonly box: Box;
}

export interface Cell extends CellMeta, CellGeometry {
  readonly label: number;
}

/**
 * `meta` may keep entries without pixels (a cell erased whole), so that undo finds its type
 * again; such a cell is neither shown nor sent. `geometry` has exactly the labels with pixels.
 * `highest` is at least every label ever used, so that new labels never repeat.
 */
export interface MaskDocument {
  readonly labels: LabelImage;
  readonly meta: Table<CellMeta>;
  readonly geometry: Table<CellGeometry>;
  readonly highest: number;
  /** Where every cell is marked: what the models may learn from. Null: everywhere. */
  readonly regions: readonly Box[] | null;
}

export const UNTYPED: CellMeta = { type: null, source: "" };

interface Extent {
  area: number;
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** Measure every cell of a row-major label image in one pass. */
export function measure(flat: ArrayLike<number>, width: number): Table<CellGeometry> {
  const extents = new Map<number, Extent>();
  let index = 0;
  while (index < flat.length) {
    const label = flat[index] as number;
    const y = Math.floor(index / width);
    const start = index;
    const end = (y + 1) * width;
    while (index < end && flat[index] === label) index++;
    if (label !== 0) widen(extents, label, { y, x0: start - y * width, x1: index - y * width });
  }
  return Table.from(
    [...extents].map(([label, { area, x0, y0, x1, y1 }]): [number, CellGeometry] => [
      label,
      { area, box: { x0, y0, x1, y1 } },
    ]),
  );
}

function widen(
  extents: Map<number, Extent>,
  label: number,
  run: { y: number; x0: number; x1: number },
): void {
  const extent = extents.get(label);
  if (extent === undefined) {
    const { y, x0, x1 } = run;
    extents.set(label, { area: x1 - x0, x0, y0: y, x1, y1: y + 1 });
    return;
  }
  extent.area += run.x1 - run.x0;
  extent.x0 = Math.min(extent.x0, run.x0);
  extent.x1 = Math.max(extent.x1, run.x1);
  extent.y1 = run.y + 1;
}

/**
 * A document from a row-major label image and what is known of its cells. `used` is the highest
 * label that was ever given here, also to a cell that is gone. Without regions all is complete.
 */
export function openDocument(
  flat: ArrayLike<number>,
  size: { width: number; height: number },
  cells: Iterable<readonly [number, CellMeta]>,
  used = 0,
  regions: readonly Box[] | null = null,
): MaskDocument {
  const geometry = measure(flat, size.width);
  const known = new Map(cells);
  let highest = used;
  const metas: [number, CellMeta][] = [];
  for (const [label] of geometry.entries()) {
    metas.push([label, known.get(label) ?? UNTYPED]);
    highest = Math.max(highest, label);
  }
  const labels = LabelImage.from(flat, size.width, size.height);
  return { labels, meta: Table.from(metas), geometry, highest, regions };
}

/** Have two documents the same pixels, the same types and the same complete regions? */
export function sameDocument(a: MaskDocument, b: MaskDocument): boolean {
  if (a === b) return true;
  if (!a.labels.equals(b.labels) || !sameRegions(a.regions, b.regions)) return false;
  return a.meta.changedSince(b.meta).every((label) => {
    if (a.geometry.get(label) === undefined) return true;
    const { type, source } = a.meta.get(label) ?? UNTYPED;
    const other = b.meta.get(label) ?? UNTYPED;
    return type === other.type && source === other.source;
  });
}

/** Are the same regions complete? In any order. */
export function sameRegions(a: MaskDocument["regions"], b: MaskDocument["regions"]): boolean {
  if (a === b) return true;
  if (a === null || b === null || a.length !== b.length) return false;
  return a.every((box) => b.some((other) => sameBox(box, other)));
}

/** The cell with this label, or null when it has no pixels. */
export function cellOf(doc: MaskDocument, label: number): Cell | null {
  const geometry = doc.geometry.get(label);
  if (geometry === undefined) return null;
  return { label, ...(doc.meta.get(label) ?? UNTYPED), ...geometry };
}

/** Every cell with pixels, by ascending label. */
export function* cellsOf(doc: MaskDocument): Generator<Cell> {
  for (const [label, geometry] of doc.geometry.entries()) {
    yield { label, ...(doc.meta.get(label) ?? UNTYPED), ...geometry };
  }
}

/** How many cells there are of each type; null counts the untyped. */
export function countTypes(doc: MaskDocument): Map<string | null, number> {
  const counts = new Map<string | null, number>();
  for (const { type } of cellsOf(doc)) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

/** The box around several cells, or null when none of them has pixels. */
export function boxOfCells(doc: MaskDocument, labels: Iterable<number>): Box | null {
  return uniteAll(Array.from(labels, (label) => doc.geometry.get(label)?.box));
}
