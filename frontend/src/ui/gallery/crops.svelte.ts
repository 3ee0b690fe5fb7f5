/** Pictures of cells: asked for when their tiles come into view, in small batches, and kept. */
import { SvelteMap, SvelteSet } from "svelte/reactivity";
import { readCrops, type CellGroup, type Crop } from "../../api/cells";
import { messageOf, wasAborted } from "../../api/client";
import { groupsOf, keyOf, type CellRow } from "./rows";

/** A cell as pictures are asked for. */
export type Wanted = Pick<CellRow, "image" | "label">;

type Read = (cells: readonly CellGroup[], signal: AbortSignal) => Promise<(Crop & Named)[]>;
interface Named {
  readonly image: number;
  readonly label: number;
}

/**
 * Small enough that the first pictures of a screen are soon there: an image is decoded whole for
 * them. The server takes 200 cells of 40 images.
 */
const BATCH = 32;
const IMAGES_AT_ONCE = 16;
const AT_ONCE = 2;
/** Beyond it the oldest are forgotten: about 4 kB each. */
const MOST_KEPT = 6_000;
/** A scrolling hand passes tiles that nobody needs to see. */
const SETTLE_MS = 40;

export class Crops {
  error = $state<string | null>(null);
  /** Null: it cannot be had. */
  private readonly kept = new SvelteMap<string, Crop | null>();
  /** Which state of an image its pictures are of. */
  private readonly states = new SvelteMap<number, string>();
  private wanted: readonly Wanted[] = [];
  private readonly underWay = new SvelteSet<string>();
  private calls = new AbortController();
  private running = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly read: Read) {}

  static of(datasetId: number): Crops {
    return new Crops((cells, signal) => readCrops(datasetId, cells, signal));
  }

  /** The picture; null when there is none; undefined while it is on its way. */
  get({ image, label }: Wanted): Crop | null | undefined {
    return this.kept.get(keyOf(image.id, label));
  }

  /** From now on these are needed, those in view first; what was asked before and is not, is not. */
  want(cells: readonly Wanted[]): void {
    this.wanted = cells;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.start();
    }, SETTLE_MS);
  }

  /**
   * An image shows another revision or prediction. Its pictures are of no use any more, unless the
   * change was our own: then the cells that are left look as before.
   */
  follow(image: Wanted["image"], own = false): void {
    const state = image.revision > 0 ? `r${image.revision}` : `p${image.prediction ?? 0}`;
    const before = this.states.get(image.id);
    this.states.set(image.id, state);
    if (own || before === undefined || before === state) return;
    // Nor are those on their way: whoever looks at the image wants them anew.
    this.stop();
    for (const key of this.kept.keys()) {
      if (key.startsWith(`${image.id}:`)) this.kept.delete(key);
    }
  }

  retry(): void {
    this.error = null;
    this.start();
  }

  /** Nothing is needed any more, until something is wanted again. */
  stop(): void {
    clearTimeout(this.timer);
    this.wanted = [];
    this.calls.abort();
    this.calls = new AbortController();
    // Who wants them again does not wait for a call that is given up.
    this.underWay.clear();
  }

  private start(): void {
    while (this.running < AT_ONCE && this.error === null) {
      const batch = this.nextBatch();
      if (batch.length === 0) return;
      void this.fetch(batch);
    }
  }

  private nextBatch(): Wanted[] {
    const batch: Wanted[] = [];
    const images: number[] = [];
    for (const cell of this.wanted) {
      if (batch.length === BATCH) break;
      const { id } = cell.image;
      const key = keyOf(id, cell.label);
      if (this.kept.has(key) || this.underWay.has(key)) continue;
      if (!images.includes(id)) {
        if (images.length === IMAGES_AT_ONCE) continue;
        images.push(id);
      }
      batch.push(cell);
    }
    return batch;
  }

  private async fetch(batch: readonly Wanted[]): Promise<void> {
    const keys = batch.map(({ image, label }) => keyOf(image.id, label));
    for (const key of keys) this.underWay.add(key);
    this.running++;
    const { signal } = this.calls;
    try {
      const found = await this.read(groupsOf(batch), signal);
      if (!signal.aborted) this.keep(keys, found);
    } catch (error) {
      if (!wasAborted(error) && !signal.aborted) this.error = messageOf(error);
    }
    if (!signal.aborted) for (const key of keys) this.underWay.delete(key);
    this.running--;
    this.start();
  }

  private keep(keys: readonly string[], found: readonly (Crop & Named)[]): void {
    for (const key of keys) this.kept.set(key, null);
    for (const crop of found) this.kept.set(keyOf(crop.image, crop.label), crop);
    this.forget();
  }

  private forget(): void {
    for (const key of this.kept.keys()) {
      if (this.kept.size <= MOST_KEPT) return;
      this.kept.delete(key);
    }
  }
}
