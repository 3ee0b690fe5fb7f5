/** Draws what tools show (brush ring, path, box) and marked areas on a 2-D canvas above the image. */
import type { Box, Point, Span } from "../core/geometry";
import type { OverlayShape, Tone } from "../core/overlay";
import { toScreen, type Camera, type Size } from "./camera";
import { DIFF_COLOURS, rgbToCss, UNTYPED, type Rgb } from "./settings";

/**
 * Of the region that is asked about: no complete region's colour, no cell's. Cells that reach into
 * it are to be judged as wholes: outside it is less dim.
 */
const ASKED = { frame: "#ffc15e", dim: "rgb(4 8 10 / 42%)" };
const COLOURS: Record<Tone, string> = { add: "#3ddc97", remove: "#ff8080", select: "#ffffff" };
const SHADE = "rgb(0 0 0 / 70%)";
const DIM = "rgb(4 8 10 / 58%)";
/** Of a cross, in CSS pixels. */
const CROSS = { radius: 8, arm: 3.5 };
const TICK = 5;
/** Of a frame's shorter side: how far its corners reach. */
const ARM = 0.22;

export interface OverlayFrame {
  readonly camera: Camera;
  readonly view: Size;
  readonly ratio: number;
  readonly shapes: readonly OverlayShape[];
  readonly typeColours: ReadonlyMap<string, Rgb>;
}

export function drawOverlay(canvas: HTMLCanvasElement, frame: OverlayFrame): void {
  const { view, ratio, shapes } = frame;
  const width = Math.round(view.width * ratio);
  const height = Math.round(view.height * ratio);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const brush = canvas.getContext("2d");
  if (brush === null) return;
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
  brush.clearRect(0, 0, view.width, view.height);
  // Chromium shows an older frame when nothing is drawn after a clear: draw an invisible dot.
  brush.fillStyle = "rgb(0 0 0 / 1%)";
  brush.fillRect(0, 0, 1, 1);
  for (const shape of shapes) {
    if (shape.kind === "dimmed") drawDimmed(brush, shape, frame);
    else if (shape.kind === "seed") drawSeed(brush, toScreen(frame.camera, view, shape.at));
    else if (shape.kind === "area") drawArea(brush, shape, frame);
    else if (shape.kind === "corners") drawCornersOf(brush, shape.box, frame);
    else drawShape(brush, shape, frame);
  }
}

/** Comes before all else: it clears what lies under the regions. */
function drawDimmed(
  brush: CanvasRenderingContext2D,
  { image, regions, asked }: OverlayShape & { kind: "dimmed" },
  { camera, view }: OverlayFrame,
): void {
  const onScreen = (box: Box): [x: number, y: number, width: number, height: number] => {
    const { x, y } = toScreen(camera, view, { x: box.x0, y: box.y0 });
    return [x, y, (box.x1 - box.x0) * camera.scale, (box.y1 - box.y0) * camera.scale];
  };
  brush.fillStyle = asked === undefined ? DIM : ASKED.dim;
  brush.fillRect(...onScreen(image));
  const clear = asked === undefined ? regions : [asked];
  for (const region of clear) brush.clearRect(...onScreen(region));
  brush.lineWidth = 1.5;
  brush.strokeStyle = COLOURS.add;
  for (const region of regions) brush.strokeRect(...onScreen(region));
  if (asked === undefined) return;
  brush.lineWidth = 2.5;
  brush.strokeStyle = ASKED.frame;
  brush.strokeRect(...onScreen(asked));
}

/** In the colour of what is asked about, with a dark rim on bright images. */
function drawCornersOf(
  brush: CanvasRenderingContext2D,
  box: Box,
  { camera, view }: OverlayFrame,
): void {
  const a = toScreen(camera, view, { x: box.x0, y: box.y0 });
  const b = toScreen(camera, view, { x: box.x1, y: box.y1 });
  const arm = Math.min(b.x - a.x, b.y - a.y) * ARM;
  const path = new Path2D();
  for (const [x, along] of [
    [a.x, arm],
    [b.x, -arm],
  ] as const) {
    for (const [y, down] of [
      [a.y, arm],
      [b.y, -arm],
    ] as const) {
      path.moveTo(x + along, y);
      path.lineTo(x, y);
      path.lineTo(x, y + down);
    }
  }
  strokeRimmed(brush, path, ASKED.frame, 2);
}

const areas = new WeakMap<readonly Span[], Path2D>();

function areaOf(spans: readonly Span[]): Path2D {
  let path = areas.get(spans);
  if (path === undefined) {
    path = new Path2D();
    for (const { y, x0, x1 } of spans) path.rect(x0, y, x1 - x0, 1);
    areas.set(spans, path);
  }
  return path;
}

function drawArea(
  brush: CanvasRenderingContext2D,
  { spans, change }: OverlayShape & { kind: "area" },
  { camera, view }: OverlayFrame,
): void {
  const { x, y } = toScreen(camera, view, { x: 0, y: 0 });
  brush.save();
  brush.transform(camera.scale, 0, 0, camera.scale, x, y);
  brush.globalAlpha = change === "removed" ? 0.6 : 0.25;
  brush.fillStyle = change === "removed" ? rgbToCss(DIFF_COLOURS.removed) : "#ffffff";
  brush.fill(areaOf(spans));
  brush.restore();
}

function drawShape(
  brush: CanvasRenderingContext2D,
  shape: Exclude<OverlayShape, { kind: "dimmed" | "area" | "seed" | "corners" }>,
  { camera, view, typeColours }: OverlayFrame,
): void {
  const place = (point: Point): Point => toScreen(camera, view, point);
  const path = new Path2D();
  if (shape.kind === "ring") {
    const { x, y } = place(shape.centre);
    path.arc(x, y, Math.max(2, shape.radius * camera.scale), 0, 2 * Math.PI);
  } else if (shape.kind === "box") {
    const a = place({ x: shape.box.x0, y: shape.box.y0 });
    const b = place({ x: shape.box.x1, y: shape.box.y1 });
    path.rect(a.x, a.y, b.x - a.x, b.y - a.y);
    brush.fillStyle = "rgb(255 255 255 / 8%)";
    brush.fill(path);
  } else if (shape.kind === "cross") {
    traceCross(path, place(shape.at));
    brush.fillStyle = SHADE;
    brush.fill(path);
  } else if (shape.kind === "tick") {
    traceTick(path, place(shape.at));
  } else {
    tracePath(path, shape.points.map(place), shape.closed);
  }
  const colour = colourOf(shape, typeColours);
  strokeRimmed(brush, path, colour, shape.kind === "tick" ? 2 : 1); // small, and seen at a glance
  if (shape.kind === "ring" && shape.type !== undefined) {
    const { x, y } = place({ x: shape.centre.x + shape.radius, y: shape.centre.y });
    writeName(brush, shape.type ?? "No type", { x: x + 8, y }, colour);
  }
  if (shape.kind === "path" && shape.vertices) drawCorners(brush, shape.points.map(place), shape);
}

/** Black, white and black again: it stands out on any image and is no brush's ring. */
function drawSeed(brush: CanvasRenderingContext2D, { x, y }: Point): void {
  const disks = [
    [7, "#000000"],
    [5.5, "#ffffff"],
    [2, "#000000"],
  ] as const;
  for (const [radius, colour] of disks) {
    brush.beginPath();
    brush.arc(x, y, radius, 0, 2 * Math.PI);
    brush.fillStyle = colour;
    brush.fill();
  }
}

function colourOf(
  shape: Extract<OverlayShape, { tone: Tone }>,
  typeColours: ReadonlyMap<string, Rgb>,
): string {
  if (shape.kind !== "ring" || shape.type === undefined) return COLOURS[shape.tone];
  return rgbToCss(typeColours.get(shape.type ?? "") ?? UNTYPED);
}

/** Dark below light: seen on any image. */
function strokeRimmed(
  brush: CanvasRenderingContext2D,
  path: Path2D,
  colour: string,
  bold: number,
): void {
  brush.lineJoin = "round";
  brush.lineWidth = 3 * bold;
  brush.strokeStyle = SHADE;
  brush.stroke(path);
  brush.lineWidth = 1.25 * bold;
  brush.strokeStyle = colour;
  brush.stroke(path);
}

function writeName(
  brush: CanvasRenderingContext2D,
  name: string,
  { x, y }: Point,
  colour: string,
): void {
  brush.font = "600 13px system-ui, sans-serif";
  brush.textBaseline = "middle";
  brush.lineWidth = 4;
  brush.strokeStyle = SHADE;
  brush.strokeText(name, x, y);
  brush.fillStyle = colour;
  brush.fillText(name, x, y);
}

function tracePath(path: Path2D, points: readonly Point[], closed: boolean): void {
  points.forEach(({ x, y }, index) => {
    if (index === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  });
  if (closed) path.closePath();
}

function traceCross(path: Path2D, { x, y }: Point): void {
  const { radius, arm } = CROSS;
  path.arc(x, y, radius, 0, 2 * Math.PI);
  for (const slope of [1, -1]) {
    path.moveTo(x - arm, y - slope * arm);
    path.lineTo(x + arm, y + slope * arm);
  }
}

function traceTick(path: Path2D, { x, y }: Point): void {
  path.moveTo(x - TICK, y);
  path.lineTo(x - TICK / 3, y + (2 * TICK) / 3);
  path.lineTo(x + TICK, y - TICK);
}

function drawCorners(
  brush: CanvasRenderingContext2D,
  points: readonly Point[],
  { closing = false }: { readonly closing?: boolean },
): void {
  points.slice(0, -1).forEach(({ x, y }, index) => {
    const corner = new Path2D();
    const first = closing ? 9 : 5;
    corner.arc(x, y, index === 0 ? first : 3, 0, 2 * Math.PI);
    brush.fillStyle = index === 0 && !closing ? COLOURS.add : "#ffffff";
    brush.fill(corner);
    brush.lineWidth = 1.5;
    brush.strokeStyle = SHADE;
    brush.stroke(corner);
  });
}
