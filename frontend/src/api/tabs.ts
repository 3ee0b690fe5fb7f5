/**
 * What the tabs of this browser tell each other about one image, at once and without the server:
 * which of them has it, and that another takes it. Without BroadcastChannel nobody answers, and
 * the journal alone says who writes it.
 */
import { mayBeElsewhere, noteOpen } from "./openTabs";

/** How the tab that has an image is at it. */
export interface Held {
  readonly writer: string;
  /** Edits that are not submitted. */
  readonly edits: number;
  /** Milliseconds since 1970, of the last edit. */
  readonly editedAt: number;
  /** False where neither this browser nor the server has all of them. */
  readonly kept: boolean;
  /** Number of the head revision it builds on. */
  readonly revision: number;
}

type Said =
  | { readonly kind: "who has it" }
  | ({ readonly kind: "mine" } & Held)
  | { readonly kind: "take" }
  | { readonly kind: "handing over" }
  | ({ readonly kind: "handed over" } & Held);
type Message = Said & { readonly key: string; readonly from: string };

/** The tab that has the image. */
export interface Holder {
  /** Null while it does not have it. */
  readonly held: () => Held | null;
  /** Change nothing from now on; resolves, with what is left, when nothing is on its way. */
  readonly handOver: () => Promise<Held>;
}

const CHANNEL = "cytoloop.images";
/** Tabs answer within a few milliseconds; one that the browser has frozen does not. */
const ANSWER = 120;
/** Submitting a large image takes longer: a tab that is at it says so each time it is asked. */
const HANDING_OVER = 2_500;

export class Tabs {
  constructor(
    /** The journal's key. */
    private readonly key: string,
    /** This tab. */
    private readonly writer: string,
  ) {}

  /** Answer the other tabs until the returned function is called. */
  start({ held, handOver }: Holder): () => void {
    const channel = open();
    if (channel === null) return () => undefined;
    const close = noteOpen(this.key, this.writer);
    let handing: Promise<void> | null = null;
    const answer = (said: Said): void => {
      this.say(channel, said);
    };
    const give = async (): Promise<void> => {
      try {
        answer({ kind: "handed over", ...(await handOver()) });
      } finally {
        handing = null;
      }
    };
    channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (!this.concerns(data)) return;
      const mine = held();
      if (data.kind === "who has it" && mine !== null) answer({ kind: "mine", ...mine });
      if (data.kind !== "take") return;
      if (mine !== null) handing ??= give();
      if (handing !== null) answer({ kind: "handing over" });
    };
    return () => {
      close();
      // The other tab still waits for the numbers of what it was given.
      void Promise.resolve(handing).finally(() => {
        channel.close();
      });
    };
  }

  /** The other tab that has the image; null when none answers. */
  async holder(): Promise<Held | null> {
    if (!mayBeElsewhere(this.key, this.writer)) return null;
    return this.ask({ kind: "who has it" }, "mine", ANSWER);
  }

  /** Have the image here: the other tab is read-only at once. What it was at; null: no answer. */
  async take(): Promise<Held | null> {
    // A tab that does not answer is gone or frozen: it is told, and not waited for.
    const wait = (await this.holder()) === null ? 0 : HANDING_OVER;
    return this.ask({ kind: "take" }, "handed over", wait);
  }

  private ask(said: Said, awaited: "mine" | "handed over", wait: number): Promise<Held | null> {
    const channel = open();
    if (channel === null) return Promise.resolve(null);
    return new Promise((resolve) => {
      const end = (held: Held | null): void => {
        clearTimeout(timer);
        channel.close();
        resolve(held);
      };
      let alive = false;
      const again = (): void => {
        if (!alive) {
          end(null);
          return;
        }
        alive = false;
        timer = setTimeout(again, wait);
        this.say(channel, said);
      };
      let timer = setTimeout(again, wait);
      channel.onmessage = ({ data }: MessageEvent<Message>) => {
        if (!this.concerns(data)) return;
        alive ||= data.kind === "handing over";
        if (data.kind === awaited) end(data);
      };
      this.say(channel, said);
    });
  }

  private say(channel: BroadcastChannel, said: Said): void {
    channel.postMessage({ ...said, key: this.key, from: this.writer } satisfies Message);
  }

  private concerns({ key, from }: Message): boolean {
    return key === this.key && from !== this.writer;
  }
}

function open(): BroadcastChannel | null {
  return typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);
}
