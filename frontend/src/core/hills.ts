/**
 * The hills of an image: brightness as height. Of two hills that meet, each stays one of its own
 * where the pass between them is low enough beside the lower top (Grimaud 1992, "dynamics").
 */
import type { Window } from "./regions";

/** What makes two hills of one. All heights are over the lowest one of the region. */
export interface Pass {
  /** The pass is higher than this share of the lower top … */
  readonly share: number;
  /** … or less than this below it: noise. */
  readonly rise: number;
}

/** A hill lower than this share of the one that it meets is a shoulder of it. */
const SHOULDER = 0.2;
const NONE = -1;

/** The pixels of `region` whose way up ends on the same hill as that of the pixel `seed`: 1. */
export function hillOf(
  region: Window,
  heights: Float32Array,
  seed: number,
  pass: Pass,
): Uint8Array {
  const inside = pixelsOf(region);
  const lowest = inside.reduce((low, at) => Math.min(low, heights[at] as number), Infinity);
  const over = heights.map((height) => height - lowest);
  inside.sort((a, b) => (over[b] as number) - (over[a] as number) || a - b);
  const hills = new Hills(region, over, pass);
  for (const at of inside) hills.add(at);
  return hills.withPixel(seed);
}

function pixelsOf({ values }: Window): number[] {
  const inside: number[] = [];
  values.forEach((value, at) => {
    if (value !== 0) inside.push(at);
  });
  return inside;
}

/** Trees of pixels whose roots are tops; water falls, and what rises joins what is there. */
class Hills {
  private readonly parent: Int32Array;

  constructor(
    private readonly region: Window,
    private readonly heights: Float32Array,
    private readonly pass: Pass,
  ) {
    this.parent = new Int32Array(heights.length).fill(NONE);
  }

  /** The highest pixel that is still under water: a top, or of the highest hill beside it. */
  add(at: number): void {
    const beside = this.risen(at);
    const up = beside.reduce((best, next) => (this.high(next) > this.high(best) ? next : best), at);
    this.parent[at] = up === at ? (beside[0] ?? at) : up;
    for (const next of beside) this.meet(this.root(at), this.root(next), this.high(at));
  }

  withPixel(seed: number): Uint8Array {
    const top = this.root(seed);
    return Uint8Array.from(this.parent, (up, at) => Number(up !== NONE && this.root(at) === top));
  }

  private meet(a: number, b: number, pass: number): void {
    if (a === b) return;
    const [higher, lower] = this.high(a) >= this.high(b) ? [a, b] : [b, a];
    const top = this.high(lower);
    const shoulder = top < SHOULDER * this.high(higher);
    const one = pass > this.pass.share * top || top - pass < this.pass.rise;
    if (shoulder || one) this.parent[lower] = higher;
  }

  private risen(at: number): number[] {
    const { width, height } = this.region;
    const x = at % width;
    const y = Math.floor(at / width);
    const found: number[] = [];
    for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
      for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
        const next = ny * width + nx;
        if (next !== at && this.parent[next] !== NONE) found.push(next);
      }
    }
    return found;
  }

  private high(at: number): number {
    return this.heights[at] as number;
  }

  private root(at: number): number {
    let root = at;
    while (this.parent[root] !== root) root = this.parent[root] as number;
    // The next search from here is short.
    for (let next = at; next !== root;) {
      const up = this.parent[next] as number;
      this.parent[next] = root;
      next = up;
    }
    return root;
  }
}
