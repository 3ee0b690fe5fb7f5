/** Reading intensities: percentiles for the contrast, histograms for the panel. */

export type Pixels = Uint8Array | Uint16Array | Float32Array;

export interface Contrast {
  readonly black: number;
  readonly white: number;
}

const SAMPLE = 200_000;

/** Sorted values of at most SAMPLE evenly spaced pixels; not-a-number left out. */
export function sortedSample(pixels: Pixels): Float32Array {
  const stride = Math.max(1, Math.floor(pixels.length / SAMPLE));
  const sample = new Float32Array(Math.ceil(pixels.length / stride));
  let count = 0;
  for (let index = 0; index < pixels.length; index += stride) {
    const value = pixels[index] as number;
    if (Number.isFinite(value)) sample[count++] = value;
  }
  return sample.subarray(0, count).sort();
}

/** Black and white at the given percentiles; always white > black. */
export function autoContrast(sorted: Float32Array, low = 1, high = 99.8): Contrast {
  if (sorted.length === 0) return { black: 0, white: 1 };
  const at = (percent: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))] as number;
  const black = at(low);
  const white = at(high);
  if (white > black) return { black, white };
  const top = sorted[sorted.length - 1] as number;
  return { black, white: top > black ? top : black + 1 };
}

/** Relative heights (0 … 1, square root so that rare values show) over `bins` between the ends. */
export function histogram(sorted: Float32Array, ends: Contrast, bins: number): number[] {
  const counts = new Array<number>(bins).fill(0);
  const scale = bins / (ends.white - ends.black || 1);
  for (const value of sorted) {
    const bin = Math.floor((value - ends.black) * scale);
    if (bin >= 0 && bin < bins) counts[bin] = (counts[bin] as number) + 1;
  }
  const top = Math.max(1, ...counts);
  return counts.map((count) => Math.sqrt(count / top));
}
