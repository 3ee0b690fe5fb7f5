/**
 * Server-sent events.
 *
 * The browser's EventSource reconnects by itself while the server closes politely, and gives up
 * on an HTTP error (signed out, gone, server restarting). That case is retried here, ever more
 * slowly, because a run watched overnight must not fall silent for one restart of the server.
 */
import { addressOf } from "./client";

/** The part of EventSource that we use, so that tests can stand in for the network. */
export interface EventSourceLike {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
  close(): void;
}

export type EventSourceMaker = (address: string) => EventSourceLike;

const CLOSED = 2;
const RETRY_MS = [2_000, 5_000, 15_000, 30_000] as const;

/** Calls `onEvent` with the data of each event named `name`, until the returned way out is taken. */
export function openEvents(
  path: string,
  name: string,
  onEvent: (data: string) => void,
  make: EventSourceMaker = (address) => new EventSource(address),
): () => void {
  let source: EventSourceLike | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let stopped = false;

  const connect = (): void => {
    const opened = make(addressOf(path));
    source = opened;
    opened.addEventListener(name, (event) => {
      if (stopped) return;
      failures = 0;
      onEvent(event.data);
    });
    opened.addEventListener("error", () => {
      if (stopped || opened.readyState !== CLOSED) return;
      timer = setTimeout(connect, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
      failures += 1;
    });
  };
  connect();
  return () => {
    stopped = true;
    clearTimeout(timer);
    source?.close();
  };
}
