/** Draws what tools show (brush ring, path, box) on a 2-D canvas above the image. */
import type { Point } from "../core/geometry";
import type { OverlayShape, Tone } from "../core/overlay";
import { toScreen, type Camera, type Size } from "./camera";

const COLOURS: Record<Tone, string> = { add: "#3ddc97", remove: "#ff8080", select: "#ffffff" };
const SHADE = "rgb(0 0 0 / 70%)";

export interface OverlayFrame {
  readonly camera: Camera;
  readonly view: Size;
  readonly ratio: number;
  readonly shapes: readonly OverlayShape[];
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
  for (const shape of shapes) drawShape(brush, shape, frame);
}

function drawShape(
  brush: CanvasRenderingContext2D,
  shape: OverlayShape,
  { camera, view }: OverlayFrame,
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
  } else {
    tracePath(path, shape.points.map(place), shape.closed);
  }
  // Dark below light: seen on any image.
  brush.lineJoin = "round";
  brush.lineWidth = 3;
  brush.strokeStyle = SHADE;
  brush.stroke(path);
  brush.lineWidth = 1.25;
  brush.strokeStyle = COLOURS[shape.tone];
  brush.stroke(path);
  if (shape.kind === "path" && shape.vertices) drawCorners(brush, shape.points.map(place));
}

function tracePath(path: Path2D, points: readonly Point[], closed: boolean): void {
  points.forEach(({ x, y }, index) => {
    if (index === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
  });
  if (closed) path.closePath();
}

function drawCorners(brush: CanvasRenderingContext2D, points: readonly Point[]): void {
  points.slice(0, -1).forEach(({ x, y }, index) => {
    const corner = new Path2D();
    corner.arc(x, y, index === 0 ? 5 : 3, 0, 2 * Math.PI);
    brush.fillStyle = index === 0 ? "#3ddc97" : "#ffffff";
    brush.fill(corner);
    brush.lineWidth = 1.5;
    brush.strokeStyle = SHADE;
    brush.stroke(corner);
  });
}
