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
function positions(from: number, to: number): Positions {
  const pitch = from / to;
  const count = Math.max(1, Math.min(SAMPLES, Math.floor(pitch)));
  const places = Int32Array.from({ length: to * count }, (_, at) =>
    Math.min(from - 1, Math.floor(((at + 0.5) / count) * pitch)),
  );
  return { places, count };
}

interface Positions {
  /** `count` of each small pixel, one small pixel after the other. */
  readonly places: Int32Array;
  readonly count: number;
}

function averaged(
  pixels: Pixels,
  width: number,
  columns: Positions,
  rows: Positions,
): Float32Array {
  const across = columns.places.length / columns.count;
  const small = new Float32Array((across * rows.places.length) / rows.count);
  for (let y = 0; y < rows.places.length; y++) {
    const from = (rows.places[y] as number) * width;
    const to = Math.floor(y / rows.count) * across;
    for (let x = 0, column = 0; column < across; column++) {
      let sum = 0;
      for (let end = x + columns.count; x < end; x++) {
        sum += pixels[from + (columns.places[x] as number)] as number;
      }
      small[to + column] = (small[to + column] as number) + sum;
    }
  }
  const samples = columns.count * rows.count;
  return small.map((sum) => sum / samples);
}
