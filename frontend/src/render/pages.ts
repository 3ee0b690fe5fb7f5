/** Large images are cut into pages that fit a texture. */
import { grow, intersect, type Box } from "../core/geometry";

/** Pixels by which neighbouring pages overlap on each side, so that outlines meet at the seam. */
export const APRON = 8;

export interface Page {
  /** What the page draws; pages' insides tile the image. */
  readonly inside: Box;
  /** What its textures hold: the inside and an apron. */
  readonly held: Box;
}

export function pagesOf(width: number, height: number, largestTexture: number): Page[] {
  const image = { x0: 0, y0: 0, x1: width, y1: height };
  const whole = Math.max(width, height) <= largestTexture;
  const step = whole ? largestTexture : largestTexture - 2 * APRON;
  const pages: Page[] = [];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      const inside = intersect({ x0: x, y0: y, x1: x + step, y1: y + step }, image);
      const held = inside && intersect(grow(inside, APRON), image);
      if (inside && held) pages.push({ inside, held: whole ? image : held });
    }
  }
  return pages;
}
