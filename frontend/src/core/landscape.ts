/** The image as a landscape: intensities of a box, smoothed, or depths inside a shape. */
import type { Box } from "./geometry";
import { autoContrast, sortedSample, type Pixels } from "./intensity";
import type { Window } from "./regions";

/** One number per pixel of the whole image. */
export interface Intensity {
  readonly width: number;
  readonly height: number;
  readonly values: Pixels;
}

/** Of equal weight whatever their range; null when there is no channel. */
export function brightnessOf(
  channels: readonly Pixels[],
  size: { readonly width: number; readonly height: number },
): Intensity | null {
  const [only] = channels;
  if (only === undefined) return null;
  const { width, height } = size;
  if (channels.length === 1) return { width, height, values: only };
  const values = new Float32Array(width * height);
  for (const channel of channels) {
    const { black, white } = autoContrast(sortedSample(channel));
    const scale = 1 / (white - black);
    for (let at = 0; at < values.length; at++) {
      const share = ((channel[at] as number) - black) * scale;
      // Not a number counts as black; a dead pixel at the top of the range as white.
      if (share > 0) values[at] = (values[at] as number) + Math.min(1, share);
    }
  }
  return { width, height, values };
}

/** The intensities of a box inside the image; what is no number reads as 0. */
export function readIntensity({ width, values }: Intensity, box: Box): Float32Array {
  const across = box.x1 - box.x0;
  const out = new Float32Array(across * (box.y1 - box.y0));
  for (let y = box.y0; y < box.y1; y++) {
    for (let x = box.x0; x < box.x1; x++) {
      const value = values[y * width + x] as number;
      out[(y - box.y0) * across + x - box.x0] = Number.isFinite(value) ? value : 0;
    }
  }
  return out;
}

/** Means over 3 × 3 pixels of the inside; outside pixels neither count nor change. */
export function smoothed(window: Window, values: Float32Array): Float32Array {
  const { width, height, values: inside } = window;
  const out = values.slice();
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (inside[y * width + x] === 0) continue;
      let sum = 0;
      let count = 0;
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          if (inside[ny * width + nx] === 0) continue;
          sum += values[ny * width + nx] as number;
          count++;
        }
      }
      out[y * width + x] = sum / count;
    }
  }
  return out;
}

/** Steps beside cost 3, diagonal ones 4: within 6 % of three times the true distance. */
const BESIDE = 3;
const DIAGONAL = 4;

/** How deep each pixel lies inside a shape; beyond the window is outside. */
export function depths(window: Window): Float32Array {
  const { values, width, height } = window;
  const depth = new Float32Array(values.length);
  const at = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= width || y >= height ? 0 : (depth[y * width + x] as number);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (values[y * width + x] === 0) continue;
      const beside = Math.min(at(x - 1, y), at(x, y - 1)) + BESIDE;
      const diagonal = Math.min(at(x - 1, y - 1), at(x + 1, y - 1)) + DIAGONAL;
      depth[y * width + x] = Math.min(beside, diagonal);
    }
  }
  for (let y = height - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--) {
      if (values[y * width + x] === 0) continue;
      const beside = Math.min(at(x + 1, y), at(x, y + 1)) + BESIDE;
      const diagonal = Math.min(at(x + 1, y + 1), at(x - 1, y + 1)) + DIAGONAL;
      depth[y * width + x] = Math.min(depth[y * width + x] as number, beside, diagonal);
    }
  }
  return depth;
}

/** The inside's values from 0 (lowest) to 1 (highest); all 0 where it is flat. */
export function shares(window: Window, values: Float32Array): Float32Array {
  let low = Infinity;
  let high = -Infinity;
  for (let at = 0; at < values.length; at++) {
    if (window.values[at] === 0) continue;
    low = Math.min(low, values[at] as number);
    high = Math.max(high, values[at] as number);
  }
  const scale = high > low ? 1 / (high - low) : 0;
  return values.map((value, at) => (window.values[at] === 0 ? 0 : (value - low) * scale));
}

/** Bytes for the watershed: the highest value of the inside lies lowest. */
export function valleys(window: Window, values: Float32Array): Uint8Array {
  return Uint8Array.from(shares(window, values), (share) => Math.round((1 - share) * 255));
}
