/**
 * The image that comes next, opened while somebody still works on this one. Nothing is leased.
 * When the queue then hands out another image, or this one has changed, what was opened is simply
 * not used.
 */
import { getJson } from "../../api/client";
import type { QueueItem } from "../../api/types";
import { openImage, type Opened } from "./opening";

interface Ahead {
  readonly imageId: number;
  readonly calls: AbortController;
  readonly since: number;
  /** Null when it could not be opened. */
  readonly image: Promise<Opened | null>;
}

/** Others may hold the first few images of the queue. */
const LOOKED_AT = 10;
/** Longer ago the models may have made a new prediction. */
const FRESH = 15 * 60_000;
/** Milliseconds after which it is begun even where the page is never idle. */
const PATIENCE = 3_000;

export class Prefetch {
  private next: Ahead | null = null;

  /** Open what the queue would hand out after `current`. Failing is no harm and not said. */
  async lookAhead(datasetId: number, current: number): Promise<void> {
    try {
      await idle();
      const { results } = await getJson<{ results: QueueItem[] }>(`datasets/${datasetId}/queue/`, {
        query: { limit: LOOKED_AT },
      });
      const free = results.find((item) => item.annotator === null && item.image.id !== current);
      if (free !== undefined) this.begin(free.image.id);
    } catch {
      // The next image is then loaded when it is asked for.
    }
  }

  /** A leased image, opened already or now. Each is given out once: it is being edited then. */
  async open(imageId: number, item: QueueItem | null, signal: AbortSignal): Promise<Opened> {
    const { next } = this;
    if (item === null || next?.imageId !== imageId) return openImage(imageId, signal);
    this.next = null;
    const image = Date.now() - next.since < FRESH ? await next.image : null;
    // The tag that came with the lease says whether somebody has saved a revision since; an image
    // without a prediction may have got one.
    const same = image !== null && image.prediction !== null && image.head.etag === item.etag;
    return same ? image : openImage(imageId, signal);
  }

  private begin(imageId: number): void {
    if (this.next?.imageId === imageId) return;
    this.next?.calls.abort();
    const calls = new AbortController();
    const image = openImage(imageId, calls.signal).catch(() => null);
    this.next = { imageId, calls, since: Date.now(), image };
  }
}

function idle(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof requestIdleCallback === "undefined") setTimeout(resolve, 0);
    else {
      requestIdleCallback(
        () => {
          resolve();
        },
        { timeout: PATIENCE },
      );
    }
  });
}

/** One for the whole page: it outlives the view of each image. */
export const prefetch = new Prefetch();
