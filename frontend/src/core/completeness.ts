/** Which parts of an image are complete: only there may a missing cell teach the models. */
import type { Command } from "./commands";
import { cellOf, type Cell, type MaskDocument } from "./document";
import { holds, intersect, sameBox, type Box, type Point } from "./geometry";
import { RegionsStep } from "./steps";

type Regions = MaskDocument["regions"];
type Corners = [x0: number, y0: number, x1: number, y1: number];

/** Regions as they are sent and stored. */
export function regionsOf(boxes: readonly Corners[] | null): Regions {
  return boxes?.map(([x0, y0, x1, y1]) => ({ x0, y0, x1, y1 })) ?? null;
}

/** Whole pixels of the image that a drawn box covers at least by half; null when there are none. */
export function wholePixels(drawn: Box, image: Box): Box | null {
  const { x0, y0, x1, y1 } = drawn;
  const rounded = {
    x0: Math.round(x0),
    y0: Math.round(y0),
    x1: Math.round(x1),
    y1: Math.round(y1),
  };
  return intersect(rounded, image);
}

/** Regions with one more; those inside it are no longer needed. */
export function withRegion(regions: readonly Box[], box: Box): readonly Box[] {
  if (regions.some((region) => holds(region, box))) return regions;
  return [...regions.filter((region) => !holds(box, region)), box];
}

/** Mark a box complete. */
export function completeRegion(drawn: Box): Command {
  return (state, dispatch) => {
    const { doc } = state;
    const box = wholePixels(drawn, doc.labels.box);
    if (box === null) return false;
    return setRegions(withRegion(doc.regions ?? [], box), "Mark region complete")(state, dispatch);
  };
}

/** A box is complete no longer; of the regions it meets the rest stays, as boxes. */
export function reopenBox(drawn: Box): Command {
  return (state, dispatch) => {
    const image = state.doc.labels.box;
    const box = wholePixels(drawn, image);
    const regions = state.doc.regions ?? [image];
    if (box === null || regions.every((region) => intersect(region, box) === null)) return false;
    const rest = regions.flatMap((region) => without(region, box));
    return setRegions(rest, "Unmark region")(state, dispatch);
  };
}

/** What of a region lies above, below, left and right of a hole. */
function without(region: Box, box: Box): Box[] {
  const hole = intersect(region, box);
  if (hole === null) return [region];
  const beside = { y0: hole.y0, y1: hole.y1 };
  const parts = [
    { ...region, y1: hole.y0 },
    { ...region, ...beside, x1: hole.x0 },
    { ...region, ...beside, x0: hole.x1 },
    { ...region, y0: hole.y1 },
  ];
  return parts.filter(({ x0, y0, x1, y1 }) => x0 < x1 && y0 < y1);
}

export function reopenRegion(region: Box): Command {
  return (state, dispatch) => {
    const { regions } = state.doc;
    if (!regions?.includes(region)) return false;
    const kept = regions.filter((other) => other !== region);
    return setRegions(kept, "Unmark region")(state, dispatch);
  };
}

/** The whole image is complete, or these regions only until others are marked. */
export function completeWhole(whole: boolean, otherwise: readonly Box[] = []): Command {
  const name = whole ? "Mark whole image complete" : "Mark regions instead";
  return setRegions(whole ? null : otherwise, name);
}

/** Was a cell drawn, changed or taken away where `regions` are not, since `before`? */
export function changedOutside(
  before: MaskDocument,
  now: MaskDocument,
  regions: readonly Box[],
): boolean {
  const inside = (box: Box | undefined): boolean =>
    box === undefined || regions.some((region) => holds(region, box));
  const labels = new Set([
    ...now.geometry.changedSince(before.geometry),
    ...now.meta.changedSince(before.meta),
  ]);
  return [...labels].some((label) => {
    const [was, is] = [cellOf(before, label), cellOf(now, label)];
    return !sameCell(was, is) && !(inside(was?.box) && inside(is?.box));
  });
}

function sameCell(a: Cell | null, b: Cell | null): boolean {
  if (a === null || b === null) return a === b;
  const typed = a.type === b.type && a.source === b.source;
  return typed && a.area === b.area && sameBox(a.box, b.box);
}

function setRegions(regions: Regions, name: string): Command {
  return (state, dispatch) => {
    const step = new RegionsStep(state.doc.regions, regions);
    if (step.isEmpty) return false;
    dispatch?.({ kind: "edit", name, steps: [step] });
    return true;
  };
}

/** The region whose upper right corner is within `reach` of a point. */
export function cornerAt(regions: Regions, { x, y }: Point, reach: number): Box | null {
  return (
    regions?.find((box) => Math.abs(box.x1 - x) <= reach && Math.abs(box.y0 - y) <= reach) ?? null
  );
}

/** The share of an image that is complete, 0 … 1; pixels in several regions count once. */
export function completeShare(regions: Regions, image: Box): number {
  if (regions === null) return 1;
  const edges = [...new Set(regions.flatMap(({ x0, x1 }) => [x0, x1]))].sort((a, b) => a - b);
  let area = 0;
  for (let index = 1; index < edges.length; index++) {
    const [left, right] = [edges[index - 1] as number, edges[index] as number];
    const columns = regions.filter(({ x0, x1 }) => x0 <= left && right <= x1);
    area += (right - left) * covered(columns.map(({ y0, y1 }) => [y0, y1]));
  }
  return area / ((image.x1 - image.x0) * (image.y1 - image.y0));
}

/** The length that stretches of a line cover together. */
function covered(stretches: (readonly [number, number])[]): number {
  let length = 0;
  let reached = -Infinity;
  for (const [from, to] of stretches.sort((a, b) => a[0] - b[0])) {
    length += Math.max(0, to - Math.max(from, reached));
    reached = Math.max(reached, to);
  }
  return length;
}
