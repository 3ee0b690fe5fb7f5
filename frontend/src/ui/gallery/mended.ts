/**
 * The editor's tab tells those that ask about cells which one was submitted there. Questions are
 * known by the address that the editor was opened with.
 */
const CHANNEL = "cytoloop.mended";

/** Without BroadcastChannel the cell stays as one that was opened in the editor. */
const open = (): BroadcastChannel | null =>
  typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);

export function tellMended(address: string): void {
  const channel = open();
  channel?.postMessage(address);
  channel?.close();
}

/** Hears of them until the returned function is called. */
export function hearMended(heard: (address: string) => void): () => void {
  const channel = open();
  if (channel === null) return () => undefined;
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (typeof data === "string") heard(data);
  };
  return () => {
    channel.close();
  };
}
