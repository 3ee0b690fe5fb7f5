/** The arithmetic of the line charts: scales, ticks, paths, the nearest point. No DOM. */

export type Point = readonly [x: number, y: number];

/** Where a value lies with some certainty. */
export type Range = readonly [x: number, low: number, high: number];

export interface Series {
  name: string;
  /** A CSS colour. */
  color: string;
  /** The line breaks at a point that is not finite. */
  points: readonly Point[];
  dashed?: boolean;
  /** Ranges of values: a whisker at each, or a band along a smooth line. */
  ranges?: readonly Range[];
  /** A curve, not measured points: the cursor does not stop at its points, but reads between them. */
  smooth?: boolean;
}

export type Scale = (value: number) => number;

/** A linear map from `domain` to `range`; a domain without width goes to the range's middle. */
export function linear(domain: Point, range: Point): Scale {
  const [d0, d1] = domain;
  const [r0, r1] = range;
  if (d0 === d1) return () => (r0 + r1) / 2;
  return (value) => r0 + ((value - d0) / (d1 - d0)) * (r1 - r0);
}

/** Smallest and largest of `values`; null when none is finite. */
export function extent(values: Iterable<number>): Point | null {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : null;
}

/** Step of 1, 2 or 5 times a power of ten that gives at most `wanted` intervals. */
export function niceStep(span: number, wanted: number): number {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9)) ?? 10;
  return step * power;
}

/** Round values inside `domain`, about `wanted` of them. */
export function ticks([low, high]: Point, wanted: number): number[] {
  if (!(high > low)) return [low];
  const step = niceStep(high - low, wanted);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => clean((first + i) * step));
}

/** `value` with as many decimals as ticks `step` apart need. */
export function tickText(value: number, step: number): string {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return value.toFixed(Math.min(6, decimals));
}

/** `domain` widened to whole steps, so that the axis ends on a tick. */
export function niceDomain([low, high]: Point, wanted: number): Point {
  if (!(high > low)) return [low === 0 ? 0 : low - Math.abs(low) / 2, high + (Math.abs(high) || 1)];
  const step = niceStep(high - low, wanted);
  return [clean(Math.floor(low / step) * step), clean(Math.ceil(high / step) * step)];
}

/** An SVG path through `points`; starts anew after each value that is not finite. */
export function linePath(points: readonly Point[], x: Scale, y: Scale): string {
  let pen = "M";
  const parts: string[] = [];
  for (const [px, py] of points) {
    if (!Number.isFinite(px) || !Number.isFinite(py)) {
      pen = "M";
      continue;
    }
    parts.push(`${pen}${x(px).toFixed(1)},${y(py).toFixed(1)}`);
    pen = "L";
  }
  return parts.join("");
}

/** An SVG path around a band, from its low ends there to its high ends back. */
export function bandPath(ranges: readonly Range[], x: Scale, y: Scale): string {
  const edge = [
    ...ranges.map(([px, low]): Point => [px, low]),
    ...ranges.map(([px, , high]): Point => [px, high]).reverse(),
  ];
  return edge.length === 0 ? "" : `${linePath(edge, x, y)}Z`;
}

/** All x values that were measured, each once, in order. */
export function abscissae(series: readonly Series[]): number[] {
  const measured = series.filter(({ smooth }) => smooth !== true);
  const values = new Set(measured.flatMap(({ points }) => points.map(([px]) => px)));
  return [...values].filter(Number.isFinite).sort((a, b) => a - b);
}

/** The value at `wanted`; of several there the last, which is the newest. Null when there is none. */
export function valueAt(points: readonly Point[], wanted: number): number | null {
  return points.findLast(([px]) => px === wanted)?.[1] ?? null;
}

/** The value of a curve at `wanted`, between two of its points; null outside of them. */
export function between(points: readonly Point[], wanted: number): number | null {
  const next = points.findIndex(([px]) => px >= wanted);
  const [after, before] = [points[next], points[Math.max(0, next - 1)]];
  if (after === undefined || before === undefined) return null;
  if (after[0] === wanted) return after[1];
  return before === after ? null : linear([before[0], after[0]], [before[1], after[1]])(wanted);
}

/** What a series says at `wanted`, and between which ends that lies, where it tells. */
export function readAt(
  { points, ranges = [], smooth }: Series,
  wanted: number,
): { value: number; low: number | null; high: number | null } | null {
  const ends = (end: 1 | 2): Point[] => ranges.map((range) => [range[0], range[end]]);
  const read = smooth === true ? between : valueAt;
  const value = read(points, wanted);
  if (value === null) return null;
  return { value, low: read(ends(1), wanted), high: read(ends(2), wanted) };
}

/** Index of the value nearest to `wanted` in a sorted list; -1 when it is empty. */
export function nearest(sorted: readonly number[], wanted: number): number {
  let best = -1;
  let distance = Infinity;
  sorted.forEach((value, index) => {
    if (Math.abs(value - wanted) < distance) {
      distance = Math.abs(value - wanted);
      best = index;
    }
  });
  return best;
}

/** Without the dust of binary fractions: 0.30000000000000004 → 0.3. */
function clean(value: number): number {
  return Number(value.toPrecision(12));
}
