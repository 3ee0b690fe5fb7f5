/** The gallery's state: which cells in which order, what is selected, what was done to them. */
import {
  changeCells,
  listCells,
  undoCells,
  type CellGroup,
  type GalleryQuery,
} from "../../api/cells";
import { messageOf, wasAborted } from "../../api/client";
import type { ChangedCells } from "../../api/types";
import { plural } from "../format";
import { toast } from "../toasts.svelte";
import { Crops } from "./crops.svelte";
import { CellRows, partsOf, type CellRow, type Deed, type Group } from "./rows";
import { carried, NOTHING, targets, type Selection } from "./selection";
import { Stopwatch } from "./stopwatch";

export const EVERYTHING: GalleryQuery = {
  sort: "uncertainty",
  near: "",
  type: "",
  split: "",
  seen_by: "",
  answered: "",
  min_uncertainty: 0,
  image: 0,
};

/** Revisions that one request takes back. */
const UNDONE_AT_ONCE = 20;
const MOST_UNDO = 50;

/** What one key did: the ids of the revisions that it made. */
interface Batch {
  readonly name: string;
  readonly revisions: readonly number[];
}

/** Cells as they were read, and what was asked then. */
interface Listed {
  readonly rows: CellRows;
  readonly query: GalleryQuery;
}

export class GalleryState {
  query = $state.raw<GalleryQuery>(EVERYTHING);
  /** In a new object whenever a row says something else: rows are no state of their own. */
  private listed = $state.raw<Listed | null>(null);
  selection = $state.raw<Selection>(NOTHING);
  error = $state<string | null>(null);
  loading = $state(true);
  /** A change is under way: 0 … 1. */
  progress = $state<number | null>(null);
  readonly crops: Crops;
  readonly stopwatch = new Stopwatch();
  private batches = $state.raw<readonly Batch[]>([]);
  private calls: AbortController | null = null;
  private queue: Promise<void> = Promise.resolve();
  /** What was looked at before `nearest`. */
  private before: GalleryQuery | null = null;

  constructor(readonly datasetId: number) {
    this.crops = Crops.of(datasetId);
  }

  get rows(): CellRows | null {
    return this.listed?.rows ?? null;
  }

  /** Other cells were asked for than are shown: keys would act on cells that are about to go. */
  get stale(): boolean {
    return this.listed !== null && this.listed.query !== this.query;
  }

  get count(): number {
    return this.rows?.count ?? 0;
  }

  /** What undo would take back; null: nothing. */
  get undoName(): string | null {
    return this.batches.at(-1)?.name ?? null;
  }

  at(place: number): CellRow | null {
    return this.rows?.at(place) ?? null;
  }

  get focused(): CellRow | null {
    return this.at(this.selection.focus);
  }

  ask(change: Partial<GalleryQuery>): void {
    this.query = { ...this.query, ...change };
    this.selection = NOTHING;
    void this.reload();
  }

  /** All others by how much they look like the cell in focus. */
  nearest(): void {
    const cell = this.focused;
    if (cell === null || this.stale) return;
    if (this.query.sort !== "nearest") this.before = this.query;
    this.ask({ sort: "nearest", near: `${cell.image.id}:${cell.label}` });
  }

  /** The order from before `nearest`; false when it is none. */
  back(): boolean {
    if (this.query.sort !== "nearest") return false;
    this.ask(this.before ?? { sort: EVERYTHING.sort, near: "" });
    return true;
  }

  async reload(): Promise<void> {
    this.calls?.abort();
    const calls = new AbortController();
    this.calls = calls;
    this.loading = true;
    const { query } = this;
    try {
      const rows = new CellRows(await listCells(this.datasetId, query, calls.signal));
      if (calls.signal.aborted) return;
      for (const image of rows.shown) this.crops.follow(image);
      this.selection = this.selectedIn(rows, query);
      this.listed = { rows, query };
      this.error = null;
    } catch (error) {
      if (wasAborted(error)) return;
      this.error = messageOf(error);
    }
    this.loading = false;
  }

  /**
   * The same cells, wherever they are in the list that was read. Another list begins at its first
   * cell, unless cells were selected while it was waited for (`ask` has cleared what was before).
   */
  private selectedIn(rows: CellRows, query: GalleryQuery): Selection {
    const { listed, selection } = this;
    if (listed === null) return NOTHING;
    const { chosen, focus, anchor } = selection;
    const places = rows.placesOf(listed.rows, [...chosen, focus, anchor]);
    const same = carried(selection, places, rows.count);
    if (listed.query === query) return same;
    if (same.chosen.size === 0) return NOTHING;
    // No place of the old list means anything in this one.
    const first = Math.min(...same.chosen);
    return { ...same, focus: places.get(focus) ?? first, anchor: places.get(anchor) ?? first };
  }

  stop(): void {
    this.calls?.abort();
    this.crops.stop();
  }

  /**
   * Do `deed` to what is selected, else to the cell in focus. Hands are faster than the server: one
   * change after the other is sent.
   */
  change(deed: Deed): Promise<void> {
    const { rows } = this;
    if (rows === null || this.stale) return Promise.resolve();
    const places = targets(this.selection, rows.count);
    return this.next(() => this.carryOut(rows, places, deed));
  }

  private next(work: () => Promise<void>): Promise<void> {
    this.queue = this.queue.then(work);
    return this.queue;
  }

  private async carryOut(rows: CellRows, places: readonly number[], deed: Deed): Promise<void> {
    const groups = rows.groups(places);
    if (groups.length === 0) return;
    const cells = groups.reduce((sum, group) => sum + group.places.length, 0);
    const revisions: number[] = [];
    const seconds = this.stopwatch.lap() / cells;
    const moved = await this.inParts(partsOf(groups), async (part) => {
      const answer = await this.send(part, deed, seconds);
      rows.note(part, deed, answer);
      for (const image of rows.shown) this.crops.follow(image, true);
      revisions.push(...answer.revisions.map(({ id }) => id));
      if (this.listed?.rows === rows) this.listed = { ...this.listed };
      return answer;
    });
    if (revisions.length > 0) this.remember({ name: nameOf(deed, cells), revisions });
    // A list that was read meanwhile may say what was so before.
    if (moved > 0 || this.rows !== rows || this.loading) await this.reload();
  }

  private send(part: readonly Group[], deed: Deed, seconds: number): Promise<ChangedCells> {
    const cells = part.reduce((sum, { places }) => sum + places.length, 0);
    return changeCells(this.datasetId, {
      ...deed,
      images: part.map((group): CellGroup => group.cells),
      seconds_spent: seconds * cells,
    });
  }

  /** Take the last change back. */
  undo(): Promise<void> {
    return this.next(() => this.takeBack());
  }

  private async takeBack(): Promise<void> {
    const batch = this.batches.at(-1);
    if (batch === undefined) return;
    let left = batch.revisions;
    await this.inParts(inPieces(batch.revisions, UNDONE_AT_ONCE), async (part) => {
      const answer = await undoCells(this.datasetId, part);
      left = left.filter((id) => !part.includes(id));
      return answer;
    });
    const others = this.batches.slice(0, -1);
    // What a failure left is to be tried again.
    this.batches = left.length === 0 ? others : [...others, { ...batch, revisions: left }];
    if (left.length === 0) toast(`Undone: ${batch.name}.`);
    await this.reload();
  }

  private remember(batch: Batch): void {
    this.batches = [...this.batches, batch].slice(-MOST_UNDO);
  }

  /** Sends some at a time and tells how far it is; how many images others had changed. */
  private async inParts<T>(
    parts: readonly T[],
    send: (part: T) => Promise<ChangedCells>,
  ): Promise<number> {
    const moved: string[] = [];
    this.progress = 0;
    try {
      for (const part of parts) {
        const answer = await send(part);
        moved.push(...answer.moved.map(({ message }) => message));
        this.progress += 1 / parts.length;
      }
    } catch (error) {
      toast(messageOf(error), "bad");
    }
    this.progress = null;
    const [first] = moved;
    if (first !== undefined) {
      const others = moved.length > 1 ? ` So are ${plural(moved.length - 1, "other image")}.` : "";
      toast(`Left alone: ${first}${others}`, "bad");
    }
    return moved.length;
  }
}

function inPieces<T>(all: readonly T[], size: number): T[][] {
  const count = Math.ceil(all.length / size);
  return Array.from({ length: count }, (_, at) => all.slice(at * size, (at + 1) * size));
}

function nameOf({ verdict, type }: Deed, cells: number): string {
  const what = plural(cells, "cell");
  if (verdict === "accepted") return `${what} accepted`;
  if (verdict === "rejected") return `${what} rejected`;
  return type === null ? `${what} without a type` : `${what} made ${type}`;
}
