/** What a submit answers of what the gallery asks about an image: no more than its regions prove. */
import type { MaskDocument } from "../../core/document";
import { intersect, type Box } from "../../core/geometry";
import { holdCell } from "../../core/surroundings";
import type { Mended } from "../mended";
import { paths } from "../router";
import type { Opened } from "./opening";

/** `doc` was handed in with these regions complete. Places are told by the regions alone. */
export function answeredBy(
  opened: Opened,
  doc: MaskDocument,
  regions: MaskDocument["regions"],
): Mended {
  const { about, image, model, predicted, prediction } = opened;
  if (regions === null || prediction === null) return { image: image.id, regions, addresses: [] };
  const cells = predicted
    .filter(([number]) => holdCell(regions, model ?? opened.doc, number))
    .map(([, { label }]) => label);
  // It may have been drawn elsewhere since it was predicted.
  if (about?.label != null && "cell" in about.asked) {
    const { label } = about;
    const held = [doc, opened.doc].some((each) => holdCell(regions, each, label));
    if (held) cells.push(about.asked.cell);
  }
  const addresses = [...new Set(cells)].map((cell) =>
    paths.asked(image.id, { cell, prediction: prediction.id }),
  );
  return { image: image.id, regions, addresses };
}

/**
 * The pixel of the place that somebody was asked about, where a cell was drawn at it: by that pixel
 * the server knows the answer. Not one of a cell that nobody checked.
 */
export function pointOf(
  { about }: Opened,
  doc: MaskDocument,
  checked: ReadonlySet<number>,
): Box | null {
  if (!about || !("place" in about.asked) || about.box === null) return null;
  const [x, y] = [Math.floor(about.asked.place.x), Math.floor(about.asked.place.y)];
  const label = doc.labels.at(x, y);
  const drawn = drawnIn(doc, about.box).some((each) => checked.has(each));
  const pixel = { x0: x, y0: y, x1: x + 1, y1: y + 1 };
  const free = label === 0 || checked.has(label);
  return drawn && free ? intersect(pixel, doc.labels.box) : null;
}

/** The labels in a box of any corners. */
function drawnIn({ labels }: MaskDocument, { x0, y0, x1, y1 }: Box): number[] {
  const whole = { x0: Math.floor(x0), y0: Math.floor(y0), x1: Math.ceil(x1), y1: Math.ceil(y1) };
  const box = intersect(whole, labels.box);
  return box === null ? [] : [...new Set(labels.read(box))];
}
