/** Rows of a cursor-paginated list, fetched page by page and refreshed in place. */
import { getJson, messageOf, wasAborted } from "../api/client";
import type { Page } from "../api/types";

export type ReadFirst<T> = (signal: AbortSignal) => Promise<Page<T>>;
export type ReadNext<T> = (address: string, signal: AbortSignal) => Promise<Page<T>>;

export class Pager<T> {
  rows = $state.raw<T[]>([]);
  next = $state<string | null>(null);
  error = $state<string | null>(null);
  loading = $state(true);
  /** True once a first page has arrived. */
  ready = $state(false);

  readonly #readFirst: ReadFirst<T>;
  readonly #readNext: ReadNext<T>;
  #calls = new AbortController();

  constructor(
    readFirst: ReadFirst<T>,
    readNext: ReadNext<T> = (address, signal) => getJson(address, { signal }),
  ) {
    this.#readFirst = readFirst;
    this.#readNext = readNext;
  }

  /** Starts over with the first page. */
  async reload(): Promise<void> {
    await this.#run(async (signal) => {
      const page = await this.#readFirst(signal);
      return { rows: page.results, next: page.next };
    });
  }

  /** Adds the next page, if there is one and nothing is under way. */
  async more(): Promise<void> {
    const { next } = this;
    if (next === null || this.loading) return;
    await this.#run(async (signal) => {
      const page = await this.#readNext(next, signal);
      return { rows: [...this.rows, ...page.results], next: page.next };
    });
  }

  /** Reads again as many rows as are shown, so that a look further down keeps its place. */
  async refresh(): Promise<void> {
    const wanted = this.rows.length;
    await this.#run(async (signal) => {
      let page = await this.#readFirst(signal);
      const rows = [...page.results];
      while (page.next !== null && rows.length < wanted) {
        page = await this.#readNext(page.next, signal);
        rows.push(...page.results);
      }
      return { rows, next: page.next };
    });
  }

  stop(): void {
    this.#calls.abort();
  }

  async #run(
    read: (signal: AbortSignal) => Promise<{ rows: T[]; next: string | null }>,
  ): Promise<void> {
    this.#calls.abort();
    const calls = new AbortController();
    this.#calls = calls;
    this.loading = true;
    try {
      const { rows, next } = await read(calls.signal);
      if (calls.signal.aborted) return;
      this.rows = rows;
      this.next = next;
      this.error = null;
      this.ready = true;
    } catch (error) {
      if (wasAborted(error) || calls.signal.aborted) return;
      this.error = messageOf(error);
    }
    this.loading = false;
  }
}
