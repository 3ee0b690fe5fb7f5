/** A value read from the server, with its loading and error states, read again as time goes by. */
import { untrack } from "svelte";
import { ApiError, messageOf, wasAborted } from "../api/client";

export interface ResourceOptions {
  /** Read again this many milliseconds after each answer, while the page is visible. */
  every?: number;
}

export class Resource<T> {
  /**
   * The last value read; kept while a newer one is on its way, so that nothing jumps, and when
   * the newer one says the same, so that nothing is drawn or read again for it.
   */
  value = $state.raw<T | null>(null);
  error = $state<string | null>(null);
  loading = $state(true);
  /** True when the server says that there is no such thing (or none for this person). */
  missing = $state(false);

  readonly #read: (signal: AbortSignal) => Promise<T>;
  readonly #every: number;
  #calls: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(read: (signal: AbortSignal) => Promise<T>, options: ResourceOptions = {}) {
    this.#read = read;
    this.#every = options.every ?? 0;
  }

  /** Reads now; an earlier read still under way is given up. */
  async reload(): Promise<void> {
    this.stop();
    const calls = new AbortController();
    this.#calls = calls;
    this.loading = true;
    try {
      const value = await this.#read(calls.signal);
      if (calls.signal.aborted) return;
      if (JSON.stringify(value) !== JSON.stringify(this.value)) this.value = value;
      this.error = null;
      this.missing = false;
    } catch (error) {
      if (wasAborted(error) || calls.signal.aborted) return;
      this.error = messageOf(error);
      this.missing = error instanceof ApiError && error.status === 404;
    }
    this.loading = false;
    this.#schedule();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#calls?.abort();
    this.#calls = null;
  }

  #schedule(): void {
    if (this.#every === 0) return;
    this.#timer = setTimeout(() => {
      // A page nobody looks at asks nothing of the server.
      if (document.hidden) this.#schedule();
      else void this.reload();
    }, this.#every);
  }
}

/**
 * A resource that lives as long as the component that makes it. It is read at once, and again
 * when `key` (plain JSON) becomes another; what else changes, say a polled object that the key
 * was taken from, does not matter.
 */
export function resource<K, T>(
  key: () => K,
  read: (key: K, signal: AbortSignal) => Promise<T>,
  options: ResourceOptions = {},
): Resource<T> {
  const written = $derived(JSON.stringify(key()));
  const made = new Resource((signal) => {
    const wanted = JSON.parse(written) as K;
    return untrack(() => read(wanted, signal));
  }, options);
  $effect(() => {
    void made.reload();
    return () => {
      made.stop();
    };
  });
  return made;
}
