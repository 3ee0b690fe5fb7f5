/** A box of the label image worked on as a small row-major array, and back to a step. */
import type { Box, Span } from "./geometry";
import type { LabelImage } from "./labelImage";
import { spansWhere } from "./regions";
import { RunBuilder } from "./runs";
import { PaintStep } from "./steps";

/** The step that turns the labels of a box into `after`, row by row. */
export function repaint(labels: LabelImage, box: Box, after: ArrayLike<number>): PaintStep {
  const before = labels.read(box);
  const builder = new RunBuilder(labels.width);
  let at = 0;
  for (let y = box.y0; y < box.y1; y++) {
    const start = y * labels.width;
    for (let x = box.x0; x < box.x1; x++, at++) {
      const next = after[at] as number;
      if (before[at] !== next) builder.add(start + x, 1, before[at] as number, next);
    }
  }
  return new PaintStep(labels.width, builder.finish());
}

/** The pixels of one label in a box. */
export function spansOf(labels: LabelImage, box: Box, label: number): Span[] {
  const values = labels.read(box);
  const width = box.x1 - box.x0;
  return spansWhere({ width, height: box.y1 - box.y0 }, box, (index) => values[index] === label);
}
