/**
 * The region of the image that the queue asks about: what belongs to it, that tools keep to it,
 * and that it is complete when it is handed in. Without one all is as on any image.
 */
import type { QueueItem } from "../../api/types";
import { byUncertainty, type Command } from "../../core/commands";
import { completeRegion, regionsOf, withRegion } from "../../core/completeness";
import { cellsIn, confined } from "../../core/confine";
import type { MaskDocument } from "../../core/document";
import { grow, holds, type Box } from "../../core/geometry";
import type { OverlayShape } from "../../core/overlay";
import type { EditorState, Transaction } from "../../core/state";
import type { Step } from "../../core/steps";
import { fit, type Camera, type Size } from "../../render/camera";
import { toast } from "../toasts.svelte";
import { isWhole, type Opened } from "./opening";

/** Of the region's longer side: what is seen around it. */
const SURROUNDINGS = 0.08;
/** ms in which a stroke outside is remarked on once. */
const SAID_ONCE = 4_000;
const OUTSIDE = "Outside the region. Switch “Keep to the region” off to edit there too.";

type Regions = MaskDocument["regions"];

/**
 * An image opened for an item: its region will be complete beside those that are, and all of the
 * image where the item asks about the rest of it. `look`: to be seen, what is complete stays so.
 */
export function openedFor(opened: Opened, item: QueueItem | null, look = false): Opened {
  const [asked] = regionsOf(item?.region ? [item.region] : null) ?? [];
  const { regions } = opened.doc;
  const whole = item === null || (asked === undefined && regions === null);
  if (whole) return opened;
  const framed = asked === undefined ? opened : { ...opened, asked };
  if (look) return framed;
  const after = asked === undefined || isWhole(opened) ? null : withRegion(regions ?? [], asked);
  return { ...framed, doc: { ...opened.doc, regions: after } };
}

/** What is handed in as complete: the region asked about too, whatever was unmarked. */
export function regionsToSend(opened: Opened, { regions, labels }: MaskDocument): Regions {
  const { asked } = opened;
  if (!asked || (regions === null && isWhole(opened))) return regions;
  // As a box: without one the server takes it for work that knows of no region.
  return regions === null ? [labels.box] : withRegion(regions, asked);
}

/** What this needs of the editor. */
interface Host {
  readonly opened: Opened;
  readonly state: EditorState;
  readonly settled: EditorState;
}

export class AskedRegion {
  /** Tools change nothing outside. */
  keeps = $state(true);
  /** The cells that reach into it; null: there is no region. */
  readonly cells = $derived.by(() => {
    const { box, host } = this;
    return box === null ? null : cellsIn(host.settled.doc, box);
  });
  /** How many of them reach out of it: they change as wholes. */
  readonly crossing = $derived.by(() => {
    const { box, cells, host } = this;
    if (box === null || cells === null) return 0;
    const { geometry } = host.settled.doc;
    return [...cells].filter((label) => {
      const of = geometry.get(label)?.box;
      return of !== undefined && !holds(box, of);
    }).length;
  });
  private saidAt = -Infinity;

  constructor(private readonly host: Host) {}

  get box(): Box | null {
    return this.host.opened.asked ?? null;
  }

  /** The transaction as far as the region allows it; null: not at all, which is said. */
  allowed(transaction: Transaction): Transaction | null {
    const { box, keeps } = this;
    if (box === null || !keeps || transaction.kind !== "edit") return transaction;
    if (transaction.everywhere) return transaction;
    const { steps, refused } = confined(this.host.state.doc, transaction.steps, box);
    if (refused) this.remark();
    // A stroke goes on: it may come into the region yet.
    const over = refused && (steps.length === 0 || transaction.open !== true);
    return over ? null : { ...transaction, steps };
  }

  /** Steps as far as the region allows them: what is only shown is what would be done. */
  kept(steps: readonly Step[]): readonly Step[] {
    const { box, keeps } = this;
    return box === null || !keeps ? steps : confined(this.host.state.doc, steps, box).steps;
  }

  private remark(): void {
    const now = performance.now();
    if (now - this.saidAt < SAID_ONCE) return;
    this.saidAt = now;
    toast(OUTSIDE);
  }

  /** The order of a review: the region's cells first, and no others while tools keep to it. */
  orderOfReview(decided: ReadonlySet<number>): { order: readonly number[]; within: boolean } {
    const { cells, keeps } = this;
    const all = byUncertainty(this.host.state);
    if (cells === null) return { order: all, within: false };
    const order = all.filter((label) => cells.has(label));
    const within = keeps || order.some((label) => !decided.has(label));
    return { order: within ? order : all, within };
  }

  /** Restored work may be of a time when something else was asked: the region is marked again. */
  get mark(): Command {
    const { box, host } = this;
    if (box === null || isWhole(host.opened)) return () => false;
    return completeRegion(box);
  }

  /** The camera that shows the region; null without one. */
  camera(view: Size): Camera | null {
    const { box } = this;
    if (box === null) return null;
    const around = SURROUNDINGS * Math.max(box.x1 - box.x0, box.y1 - box.y0);
    return fit(grow(box, around), view);
  }

  /** What is dimmed and framed: all but the region, else all but what is complete. */
  shapes({ labels, regions }: MaskDocument): OverlayShape[] {
    const { box } = this;
    const image = labels.box;
    if (box !== null) return [{ kind: "dimmed", image, regions: regions ?? [], asked: box }];
    return regions === null ? [] : [{ kind: "dimmed", image, regions }];
  }
}
