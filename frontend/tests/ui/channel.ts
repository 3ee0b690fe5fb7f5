/** A BroadcastChannel for the tests, for what the tabs of one browser tell each other. */

/** As the browser's: everybody but the sender hears it, a moment later. */
export class Channel {
  static all = new Set<Channel>();
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(readonly name: string) {
    Channel.all.add(this);
  }
  postMessage(data: unknown): void {
    const heard = [...Channel.all].filter((each) => each !== this && each.name === this.name);
    setTimeout(() => {
      for (const each of heard) each.onmessage?.({ data: structuredClone(data) });
    });
  }
  close(): void {
    this.onmessage = null;
    Channel.all.delete(this);
  }
}
