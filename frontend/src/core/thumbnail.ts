/** A small version of a large image, for the map in the corner. */
import type { Pixels } from "./intensity";

export interface Small {
  readonly width: number;
  readonly height: number;
  /** One row-major plane per channel, averaged. */
  readonly channels: readonly Float32Array[];
}

/** Pixels averaged per side of a small pixel, at most; more would only cost time. */
const SAMPLES = 3;

/** The image shrunk so that its longer side has at most `side` pixels. */
export function shrunk(
  image: { readonly width: number; readonly height: number; readonly channels: readonly Pixels[] },
  side: number,
): Small {
  const factor = Math.max(1, Math.max(image.width, image.height) / side);
  const width = Math.max(1, Math.round(image.width / factor));
  const height = Math.max(1, Math.round(image.height / factor));
  const columns = positions(image.width, width);
  const rows = positions(image.height, height);
  const channels = image.channels.map((pixels) => averaged(pixels, image.width, columns, rows));
  return { width, height, channels };
}

/** For each small pixel the places that it averages, along one side. */
function positions(from: number, to: number): number[][] {
  const pitch = from / to;
  const count = Math.max(1, Math.min(SAMPLES, Math.floor(pitch)));
  return Array.from({ length: to }, (_, index) =>
    Array.from({ length: count }, (_, sample) =>
      Math.min(from - 1, Math.floor((index + (sample + 0.5) / count) * pitch)),
    ),
  );
}

function averaged(
  pixels: Pixels,
  width: number,
  columns: readonly number[][],
  rows: readonly number[][],
): Float32Array {
  const small = new Float32Array(columns.length * rows.length);
  rows.forEach((ys, row) => {
    columns.forEach((xs, column) => {
      let sum = 0;
      for (const y of ys) for (const x of xs) sum += pixels[y * width + x] ?? 0;
      small[row * columns.length + column] = sum / (xs.length * ys.length);
    });
  });
  return small;
}
