/** The editor's tab tells those that ask about cells and places what was submitted there. */
import type { Box } from "../core/geometry";

export interface Mended {
  readonly image: number;
  /** What is complete of it; null: all. Tells which places are answered. */
  readonly regions: readonly Box[] | null;
  /** The cells that lie in the regions, as the editor's addresses name them. */
  readonly addresses: readonly string[];
}

const CHANNEL = "cytoloop.mended";

/** Without BroadcastChannel the cell stays as one that was opened in the editor. */
const open = (): BroadcastChannel | null =>
  typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);

export function tellMended(mended: Mended): void {
  const channel = open();
  channel?.postMessage(mended);
  channel?.close();
}

/** Hears of them until the returned function is called. */
export function hearMended(heard: (mended: Mended) => void): () => void {
  const channel = open();
  if (channel === null) return () => undefined;
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (isMended(data)) heard(data);
  };
  return () => {
    channel.close();
  };
}

/** A tab of another release may say something else. */
const isMended = (data: unknown): data is Mended =>
  typeof data === "object" && data !== null && "regions" in data && "addresses" in data;
