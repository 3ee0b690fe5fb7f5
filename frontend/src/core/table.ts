/**
 * A persistent map from label to value. A changed copy shares all chunks but the touched ones,
 * so an edit costs the same with 200 cells as with 20,000.
 */

const SHIFT = 7;
const CHUNK = 1 << SHIFT;

type Chunk<T> = readonly (T | undefined)[];

export class Table<T> {
  private constructor(
    private readonly chunks: ReadonlyMap<number, Chunk<T>>,
    readonly size: number,
  ) {}

  static empty<T>(): Table<T> {
    return new Table<T>(new Map(), 0);
  }

  static from<T>(entries: Iterable<readonly [number, T | undefined]>): Table<T> {
    return Table.empty<T>().with(entries);
  }

  get(label: number): T | undefined {
    // Not a shift: labels may exceed 2^31.
    return this.chunks.get(Math.floor(label / CHUNK))?.[label % CHUNK];
  }

  /** A copy in which each given label has its value, or none where that is undefined. */
  with(entries: Iterable<readonly [number, T | undefined]>): Table<T> {
    const chunks = new Map(this.chunks);
    const fresh = new Map<number, (T | undefined)[]>();
    let size = this.size;
    for (const [label, value] of entries) {
      const index = Math.floor(label / CHUNK);
      let chunk = fresh.get(index);
      if (chunk === undefined) {
        chunk = chunks.get(index)?.slice() ?? new Array<T | undefined>(CHUNK).fill(undefined);
        fresh.set(index, chunk);
        chunks.set(index, chunk);
      }
      size += Number(value !== undefined) - Number(chunk[label % CHUNK] !== undefined);
      chunk[label % CHUNK] = value;
    }
    return new Table(chunks, size);
  }

  /** The labels whose values may differ from an earlier table's. */
  changedSince(earlier: Table<T>): number[] {
    const indices = new Set([...this.chunks.keys(), ...earlier.chunks.keys()]);
    return [...indices]
      .filter((index) => this.chunks.get(index) !== earlier.chunks.get(index))
      .flatMap((index) => Array.from({ length: CHUNK }, (_, offset) => index * CHUNK + offset));
  }

  /** All entries by ascending label. */
  *entries(): Generator<[number, T]> {
    const indices = [...this.chunks.keys()].sort((a, b) => a - b);
    for (const index of indices) {
      const chunk = this.chunks.get(index) ?? [];
      for (let offset = 0; offset < chunk.length; offset++) {
        const value = chunk[offset];
        if (value !== undefined) yield [index * CHUNK + offset, value];
      }
    }
  }
}
