/** Spans and cells to paint steps: which pixels may change is said by a rule. */
import type { MaskDocument } from "./document";
import type { Box, Point, Span } from "./geometry";
import type { LabelImage } from "./labelImage";
import { pathPixels } from "./raster";
import { RunBuilder } from "./runs";
import { PaintStep } from "./steps";

/** May a pixel of this label change? */
export type Rule = (label: number) => boolean;

/** protect: other cells keep their pixels. overwrite: whoever draws last has them. */
export type Mode = "protect" | "overwrite";

export const anyLabel: Rule = () => true;
export const background: Rule = (label) => label === 0;

/** Where a cell may be painted. */
export function paintable(mode: Mode): Rule {
  return mode === "protect" ? background : anyLabel;
}

export function only(labels: ReadonlySet<number>): Rule {
  return (label) => labels.has(label);
}

/** Write `label` to the pixels of sorted, disjoint spans whose present label the rule allows. */
export function paintSpans(
  labels: LabelImage,
  spans: readonly Span[],
  label: number,
  rule: Rule,
): PaintStep {
  const builder = new RunBuilder(labels.width);
  for (const { y, x0, x1 } of spans) {
    let x = x0;
    while (x < x1) {
      const before = labels.at(x, y);
      const start = x++;
      while (x < x1 && labels.at(x, y) === before) x++;
      if (before !== label && rule(before)) {
        builder.add(y * labels.width + start, x - start, before, label);
      }
    }
  }
  return new PaintStep(labels.width, builder.finish());
}

/** All rows of a box, as spans. */
export function boxSpans(box: Box): Span[] {
  const spans: Span[] = [];
  for (let y = box.y0; y < box.y1; y++) spans.push({ y, x0: box.x0, x1: box.x1 });
  return spans;
}

/** Give all pixels of some cells another label (0 deletes the cells). One step per cell. */
export function relabelCells(
  doc: MaskDocument,
  cells: Iterable<number>,
  label: number,
): PaintStep[] {
  const steps: PaintStep[] = [];
  for (const cell of cells) {
    const geometry = doc.geometry.get(cell);
    if (geometry === undefined || cell === label) continue;
    steps.push(paintSpans(doc.labels, boxSpans(geometry.box), label, only(new Set([cell]))));
  }
  return steps;
}

/** The labels under some spans, background left out. */
export function labelsUnder(labels: LabelImage, spans: readonly Span[]): Set<number> {
  const found = new Set<number>();
  for (const { y, x0, x1 } of spans) {
    for (let x = x0; x < x1; x++) {
      const label = labels.at(x, y);
      if (label !== 0) found.add(label);
    }
  }
  return found;
}

/** Cells under a path, in the order in which it meets them. */
export function cellsAlong(labels: LabelImage, points: readonly Point[]): Set<number> {
  const found = new Set(pathPixels(points).map(({ x, y }) => labels.at(x, y)));
  found.delete(0);
  return found;
}
