/**
 * The label image as an immutable value: 64 × 64 tiles, 0 = background. A changed copy shares
 * every untouched tile, so that an edit copies a few kilobytes, and what must be uploaded to the
 * graphics card is found by comparing references.
 */
import { intersect, type Box } from "./geometry";

export const TILE = 64;
const SHIFT = 6;
const MASK = TILE - 1;
const BLANK = new Uint32Array(TILE * TILE);

export class LabelImage {
  readonly columns: number;
  readonly rows: number;

  private constructor(
    readonly width: number,
    readonly height: number,
    private readonly tiles: readonly Uint32Array[],
  ) {
    this.columns = Math.ceil(width / TILE);
    this.rows = Math.ceil(height / TILE);
  }

  static blank(width: number, height: number): LabelImage {
    const count = Math.ceil(width / TILE) * Math.ceil(height / TILE);
    return new LabelImage(width, height, new Array<Uint32Array>(count).fill(BLANK));
  }

  /** From a row-major array of width × height labels. */
  static from(flat: ArrayLike<number>, width: number, height: number): LabelImage {
    if (flat.length !== width * height) {
      throw new RangeError(`expected ${width * height} labels, got ${flat.length}`);
    }
    const draft = LabelImage.blank(width, height).draft();
    for (let y = 0; y < height; y++) {
      const row = y * width;
      let x = 0;
      while (x < width) {
        const label = flat[row + x] as number;
        const start = x;
        while (x < width && flat[row + x] === label) x++;
        if (label !== 0) draft.set(y, start, x, label);
      }
    }
    return draft.finish();
  }

  get box(): Box {
    return { x0: 0, y0: 0, x1: this.width, y1: this.height };
  }

  /** The label at an integer position; background outside the image. */
  at(x: number, y: number): number {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return 0;
    const tile = this.tiles[(y >> SHIFT) * this.columns + (x >> SHIFT)] as Uint32Array;
    return tile[((y & MASK) << SHIFT) | (x & MASK)] as number;
  }

  /** The labels of a box, row by row. The box must lie inside the image. */
  read(box: Box): Uint32Array<ArrayBuffer> {
    const width = box.x1 - box.x0;
    const out = new Uint32Array(width * (box.y1 - box.y0));
    for (let y = box.y0; y < box.y1; y++) {
      let x = box.x0;
      while (x < box.x1) {
        const end = Math.min((x | MASK) + 1, box.x1);
        const tile = this.tiles[(y >> SHIFT) * this.columns + (x >> SHIFT)] as Uint32Array;
        const from = ((y & MASK) << SHIFT) | (x & MASK);
        out.set(tile.subarray(from, from + end - x), (y - box.y0) * width + x - box.x0);
        x = end;
      }
    }
    return out;
  }

  /** Has the other image, of the same size, the very tiles of this one in a box? */
  sharesTiles(other: LabelImage, box: Box): boolean {
    for (let row = box.y0 >> SHIFT; row << SHIFT < box.y1; row++) {
      for (let column = box.x0 >> SHIFT; column << SHIFT < box.x1; column++) {
        const index = row * this.columns + column;
        if (this.tiles[index] !== other.tiles[index]) return false;
      }
    }
    return true;
  }

  /** Has row y a pixel of this label in x0 ≤ x < x1? */
  rowHas(label: number, y: number, x0: number, x1: number): boolean {
    let x = x0;
    while (x < x1) {
      const end = Math.min((x | MASK) + 1, x1);
      const tile = this.tiles[(y >> SHIFT) * this.columns + (x >> SHIFT)] as Uint32Array;
      const from = ((y & MASK) << SHIFT) | (x & MASK);
      if (tile !== BLANK && tile.subarray(from, from + end - x).includes(label)) return true;
      x = end;
    }
    return false;
  }

  /** Has column x a pixel of this label in y0 ≤ y < y1? */
  columnHas(label: number, x: number, y0: number, y1: number): boolean {
    let y = y0;
    while (y < y1) {
      const end = Math.min((y | MASK) + 1, y1);
      const tile = this.tiles[(y >> SHIFT) * this.columns + (x >> SHIFT)] as Uint32Array;
      if (tile === BLANK) y = end;
      for (; y < end; y++) {
        if (tile[((y & MASK) << SHIFT) | (x & MASK)] === label) return true;
      }
    }
    return false;
  }

  flat(): Uint32Array<ArrayBuffer> {
    return this.read(this.box);
  }

  draft(): LabelDraft {
    return new LabelDraft(this.columns, this.tiles, (tiles) => {
      return new LabelImage(this.width, this.height, tiles);
    });
  }

  /** Has the other image the same size and the same labels? */
  equals(other: LabelImage): boolean {
    if (this.width !== other.width || this.height !== other.height) return false;
    return this.tiles.every((tile, index) => {
      const theirs = other.tiles[index] as Uint32Array;
      return tile === theirs || tile.every((label, at) => label === theirs[at]);
    });
  }

  /** The same labels, in the very tiles of another image where those are equal. */
  sharing(other: LabelImage): LabelImage {
    if (this.width !== other.width || this.height !== other.height) return this;
    const tiles = this.tiles.map((tile, index) => {
      const theirs = other.tiles[index] as Uint32Array;
      return tile.every((label, at) => label === theirs[at]) ? theirs : tile;
    });
    return new LabelImage(this.width, this.height, tiles);
  }

  /** The boxes in which this image may differ from an earlier one: tiles, side by side in one. */
  changedSince(earlier: LabelImage): Box[] {
    if (earlier === this) return [];
    if (earlier.width !== this.width || earlier.height !== this.height) return [this.box];
    const boxes: Box[] = [];
    for (let index = 0; index < this.tiles.length; index++) {
      if (this.tiles[index] === earlier.tiles[index]) continue;
      const x0 = (index % this.columns) * TILE;
      const y0 = Math.floor(index / this.columns) * TILE;
      const box = intersect({ x0, y0, x1: x0 + TILE, y1: y0 + TILE }, this.box);
      const last = boxes.at(-1);
      if (box === null) continue;
      if (last?.x1 === x0 && last.y0 === y0) boxes[boxes.length - 1] = { ...last, x1: box.x1 };
      else boxes.push(box);
    }
    return boxes;
  }
}

/** A changed copy in the making: tiles are copied when first written. */
export class LabelDraft {
  private readonly tiles: Uint32Array[];
  private readonly owned = new Set<number>();

  constructor(
    private readonly columns: number,
    tiles: readonly Uint32Array[],
    private readonly build: (tiles: readonly Uint32Array[]) => LabelImage,
  ) {
    this.tiles = tiles.slice();
  }

  /** Write one label to the pixels x0 ≤ x < x1 of row y; they must lie inside the image. */
  set(y: number, x0: number, x1: number, label: number): void {
    let x = x0;
    while (x < x1) {
      const end = Math.min((x | MASK) + 1, x1);
      const index = (y >> SHIFT) * this.columns + (x >> SHIFT);
      const from = ((y & MASK) << SHIFT) | (x & MASK);
      this.own(index).fill(label, from, from + end - x);
      x = end;
    }
  }

  finish(): LabelImage {
    return this.build(this.tiles);
  }

  private own(index: number): Uint32Array {
    const tile = this.tiles[index] as Uint32Array;
    if (this.owned.has(index)) return tile;
    const copy = tile.slice();
    this.owned.add(index);
    this.tiles[index] = copy;
    return copy;
  }
}
