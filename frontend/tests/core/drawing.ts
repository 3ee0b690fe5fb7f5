/** Small pictures and seeded chance for the tests. */
import { openDocument, type CellMeta, type MaskDocument } from "../../src/core/document";
import { paintSpans, anyLabel } from "../../src/core/paint";
import { strokeSpans } from "../../src/core/raster";
import type { PaintStep } from "../../src/core/steps";

/** A label image from rows of characters: "." is background, digits and letters are labels. */
export function picture(rows: string[], metas: [number, CellMeta][] = []): MaskDocument {
  const width = rows[0]?.length ?? 0;
  const flat = rows.flatMap((row) => [...row].map(labelOf));
  return openDocument(flat, { width, height: rows.length }, metas);
}

function labelOf(character: string): number {
  return character === "." ? 0 : Number.parseInt(character, 36);
}

export function rowsOf(doc: MaskDocument): string[] {
  const { width, height } = doc.labels;
  const flat = doc.labels.flat();
  return Array.from({ length: height }, (_, y) =>
    [...flat.subarray(y * width, (y + 1) * width)]
      .map((label) => (label === 0 ? "." : label.toString(36)))
      .join(""),
  );
}

/** Mulberry32: the same numbers at every run. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Cells as disks on a grid, `across` by `across`. */
export function gridOfCells(size: number, across: number): MaskDocument {
  const pitch = size / across;
  const flat = new Uint32Array(size * size);
  const metas: [number, CellMeta][] = [];
  for (let index = 0; index < across * across; index++) {
    const x = ((index % across) + 0.5) * pitch;
    const y = (Math.floor(index / across) + 0.5) * pitch;
    const clip = { x0: 0, y0: 0, x1: size, y1: size };
    for (const span of strokeSpans({ x, y }, { x, y }, pitch * 0.45, clip)) {
      flat.fill(index + 1, span.y * size + span.x0, span.y * size + span.x1);
    }
    metas.push([index + 1, { type: index % 2 === 0 ? "HEK" : "N2a", source: "model" }]);
  }
  return openDocument(flat, { width: size, height: size }, metas);
}

/** A step that paints a random stroke of a random label (0 erases) over anything. */
export function randomStroke(doc: MaskDocument, random: () => number): PaintStep {
  const { width, height, box } = doc.labels;
  const point = () => ({ x: random() * width, y: random() * height });
  const label = Math.floor(random() * 8);
  return paintSpans(doc.labels, strokeSpans(point(), point(), random() * 12, box), label, anyLabel);
}
