/**
 * Seeded watershed by flooding: water rises from the seeds, and a pixel belongs to the seed whose
 * water reaches it first. Levels are bytes, so that a queue of 256 buckets does without sorting.
 */
import type { Window } from "./regions";

const LEVELS = 256;
const NONE = -1;

/** First in, first out within a level; nothing may enter below the level reached. */
class BucketQueue {
  private readonly heads = new Int32Array(LEVELS).fill(NONE);
  private readonly tails = new Int32Array(LEVELS).fill(NONE);
  private readonly next: Int32Array;
  /** The level that the last item taken was at. */
  level = 0;

  constructor(items: number) {
    this.next = new Int32Array(items).fill(NONE);
  }

  /** Each item enters once. */
  push(item: number, level: number): void {
    const tail = this.tails[level] as number;
    if (tail === NONE) this.heads[level] = item;
    else this.next[tail] = item;
    this.tails[level] = item;
  }

  /** The earliest item of the lowest level; NONE when all are taken. */
  take(): number {
    while (this.level < LEVELS && this.heads[this.level] === NONE) this.level++;
    if (this.level === LEVELS) return NONE;
    const item = this.heads[this.level] as number;
    const following = this.next[item] as number;
    this.heads[this.level] = following;
    if (following === NONE) this.tails[this.level] = NONE;
    return item;
  }
}

/**
 * Spread the seeds (1, 2, … in `seeds`, else 0) over the window's inside. A pixel goes to the
 * seed from which a path of the lowest highest level leads to it; on a plateau the nearer seed
 * wins. What no seed is connected to stays 0. Diagonal neighbours touch.
 */
export function watershed(window: Window, levels: Uint8Array, seeds: Int32Array): Int32Array {
  const { values } = window;
  const owners = new Int32Array(values.length);
  const queue = new BucketQueue(values.length);
  for (let at = 0; at < values.length; at++) {
    if (values[at] === 0 || seeds[at] === 0) continue;
    owners[at] = seeds[at] as number;
    queue.push(at, 0);
  }
  for (let at = queue.take(); at !== NONE; at = queue.take()) {
    forNeighbours(window, at, (next) => {
      if (values[next] === 0 || owners[next] !== 0) return;
      owners[next] = owners[at] as number;
      queue.push(next, Math.max(queue.level, levels[next] as number));
    });
  }
  return owners;
}

/** The up to eight neighbours of a pixel, those beside it before those at its corners. */
export function forNeighbours(
  { width, height }: Pick<Window, "width" | "height">,
  at: number,
  visit: (next: number) => void,
): void {
  const x = at % width;
  const left = x > 0;
  const right = x < width - 1;
  const above = at >= width;
  const below = at < width * (height - 1);
  if (above) visit(at - width);
  if (left) visit(at - 1);
  if (right) visit(at + 1);
  if (below) visit(at + width);
  if (above && left) visit(at - width - 1);
  if (above && right) visit(at - width + 1);
  if (below && left) visit(at + width - 1);
  if (below && right) visit(at + width + 1);
}

/** Give every pixel of the inside to the piece it is fewest steps away from. */
export function spread(window: Window, pieces: Int32Array): Int32Array {
  return watershed(window, new Uint8Array(window.values.length), pieces);
}
