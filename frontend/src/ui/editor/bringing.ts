/** The camera that brings cells to the middle of the view, as large as they are judged best. */
import { centreOf, type Box } from "../../core/geometry";
import {
  filled,
  fit,
  toScreen,
  uncovered,
  type Camera,
  type Covers,
  type Size,
} from "../../render/camera";
import { MAP_HEIGHT, mapPlace } from "./mapPlace.svelte";

/** The longer side of a cell, in CSS pixels: it is enlarged to the one and reduced to the other. */
const COMFORTABLE = { least: 120, most: 300 };
/** What the review's bar, its card at the right and the scale bar below that lie over. */
const BAR = 100;
const CARD = 176;
const SCALE_BAR = { width: 160, height: 44 };

interface Sight {
  readonly camera: Camera;
  readonly view: Size;
  readonly image: Size;
  /** Nothing is made smaller than at this scale. */
  readonly usual: number;
}

export function broughtIn(box: Box, { camera, view, image, usual }: Sight): Camera {
  const side = Math.max(box.x1 - box.x0, box.y1 - box.y0);
  const ample = Math.max(usual, COMFORTABLE.most / side);
  const wanted = Math.max(COMFORTABLE.least / side, Math.min(camera.scale, ample));
  const scale = Math.min(fit(box, view).scale, wanted);
  const found = filled({ centre: centreOf(box), scale }, view, image);
  return uncovered(found, view, box, coversOver(box, found, view));
}

function coversOver(box: Box, camera: Camera, view: Size): Covers {
  const left = toScreen(camera, view, { x: box.x0, y: 0 }).x;
  const right = toScreen(camera, view, { x: box.x1, y: 0 }).x;
  // In a low view more than half of the cell would be lost at the other side.
  if (view.height < CARD + MAP_HEIGHT + COMFORTABLE.least) return { top: 0, bottom: 0 };
  return {
    top: right > view.width / 2 + COMFORTABLE.least / 2 ? CARD : BAR,
    bottom: Math.max(
      mapPlace.height(left, right, view.width),
      right > view.width - SCALE_BAR.width ? SCALE_BAR.height : 0,
    ),
  };
}
