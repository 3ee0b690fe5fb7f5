/**
 * A canvas with the renderer that draws on it, lent from image to image: a new context costs a
 * tenth of a second where there is no graphics card, which is most of what an annotator waits for.
 */
import { Renderer } from "./renderer";

export interface Surface {
  readonly canvas: HTMLCanvasElement;
  readonly renderer: Renderer;
}

/** Nobody opened another image for so long: the card's memory goes back. */
const KEPT = 30_000;

let spare: Surface | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Throws a RenderError where the browser has no WebGL 2. */
export function borrowSurface(): Surface {
  clearTimeout(timer);
  const kept = spare;
  spare = null;
  if (kept !== null && !kept.renderer.lost) return kept;
  const canvas = document.createElement("canvas");
  return { canvas, renderer: new Renderer(canvas) };
}

/** Nothing draws on it any more; what it shows is wiped out. */
export function giveBack(surface: Surface): void {
  if (spare !== null || !surface.renderer.sound) {
    surface.renderer.dispose();
    return;
  }
  surface.renderer.clear();
  spare = surface;
  timer = setTimeout(() => {
    spare = null;
    surface.renderer.dispose();
  }, KEPT);
}
