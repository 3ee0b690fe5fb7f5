/** Rows that move on by themselves, read again and again until they are over. */
import { ApiError, messageOf } from "./client";

const POLL_MS = 1_000;

export interface Watcher<T> {
  readonly news: (row: T) => void;
  /** Why the last look failed; null after one that did not. */
  readonly trouble: (message: string | null) => void;
}

/**
 * Reads a row each second until it is over or the returned function is called. A look that fails
 * is not the end of the watch, unless there is no such row any more.
 */
export function watch<T>(
  read: (signal: AbortSignal) => Promise<T>,
  isOver: (row: T) => boolean,
  { news, trouble }: Watcher<T>,
): () => void {
  const calls = new AbortController();
  const look = async (): Promise<void> => {
    try {
      const row = await read(calls.signal);
      if (calls.signal.aborted) return;
      trouble(null);
      news(row);
      if (isOver(row)) return;
    } catch (error) {
      if (calls.signal.aborted) return;
      trouble(messageOf(error));
      if (error instanceof ApiError && error.status === 404) return;
    }
    later();
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const later = (): void => {
    // What was told may have ended the watch.
    if (calls.signal.aborted) return;
    timer = setTimeout(() => void look(), POLL_MS);
  };
  later();
  return () => {
    clearTimeout(timer);
    calls.abort();
  };
}
