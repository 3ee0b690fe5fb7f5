/** What is asked before an image is handed in that may not be what somebody meant to submit. */
import { changedOutside, completeWhole } from "../../core/completeness";
import { select } from "../../core/commands";
import { cellsOf, sameRegions } from "../../core/document";
import { session } from "../session.svelte";
import type { Editor } from "./editor.svelte";
import { cultureType } from "./opening";

/** ms that a question is not asked again where nobody wants it: long, and not for ever. */
const MONTH = 30 * 24 * 3600 * 1000;

export type Doubt = "nothing complete" | "rest not complete" | "no cell" | "no type";

/**
 * Cells that only a person can type: where the file name does not, and there are types. Of a
 * region or a cell that is asked about its own.
 */
export function untypedCells({ asked, askedCell, opened, settled }: Editor): number[] {
  const { dataset, image } = opened;
  if (dataset.types.length === 0 || cultureType(image, dataset) !== null) return [];
  const cells = askedCell.partly ? askedCell.checked : asked.cells;
  return [...cellsOf(settled.doc)]
    .filter(({ type, label }) => type === null && (cells === null || cells.has(label)))
    .map(({ label }) => label);
}

/** Work that would teach nothing: beside the regions that somebody marked before. */
function leavesRestOpen({ asked, opened, settled }: Editor): boolean {
  const { doc } = settled;
  const { regions } = doc;
  if (regions === null || regions.length === 0 || asked.box !== null) return false;
  // Whoever marks regions means these.
  return sameRegions(regions, opened.doc.regions) && changedOutside(opened.doc, doc, regions);
}

export class Doubts {
  asking = $state<Doubt | null>(null);
  /** Answered while this image is open: not asked again. */
  private answered: readonly Doubt[] = [];

  constructor(
    private readonly editor: Editor,
    private readonly handIn: () => void,
  ) {}

  /** Hand the image in, unless there is something to ask first. */
  submit(): void {
    this.asking = this.next();
    if (this.asking === null) this.handIn();
  }

  /** It is meant; with `forAMonth` this is not asked again in the data set for so long. */
  submitAnyway(forAMonth: boolean): void {
    if (this.asking === null) return;
    this.answered = [...this.answered, this.asking];
    // An image without a cell is always asked about.
    if (forAMonth && this.asking !== "no cell") this.forgo(this.asking);
    this.submit();
  }

  markWhole(): void {
    this.editor.run(completeWhole(true));
    this.submit();
  }

  showUntyped(): void {
    this.asking = null;
    // With the type brush a digit would only change the brush.
    this.editor.chooseTool("select");
    this.editor.run(select(untypedCells(this.editor)));
    this.editor.centreOnSelection();
  }

  private next(): Doubt | null {
    const { geometry, regions } = this.editor.settled.doc;
    const found: Doubt[] = [];
    // What was changed is complete by itself, and nothing is said of the rest.
    if (!this.editor.askedCell.partly) {
      if (regions?.length === 0) found.push("nothing complete");
      if (leavesRestOpen(this.editor)) found.push("rest not complete");
      if (geometry.size === 0) found.push("no cell");
    }
    if (untypedCells(this.editor).length > 0) found.push("no type");
    const forgone = this.forgone();
    const open = (doubt: Doubt): boolean => !this.answered.includes(doubt) && !(doubt in forgone);
    return found.find(open) ?? null;
  }

  private get kept(): string {
    return `cytoloop.unasked.${session.me?.username ?? ""}.${this.editor.opened.dataset.id}`;
  }

  /** By question that is not to be asked: when somebody said so, within the month. */
  private forgone(): Partial<Record<Doubt, number>> {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(this.kept) ?? "{}");
      const now = Date.now();
      // A clock that was wrong, and what was kept before there were times, count for nothing.
      const fresh = Object.entries(kept ?? {}).filter(
        ([, at]) => typeof at === "number" && at <= now && now - at < MONTH,
      );
      return Object.fromEntries(fresh);
    } catch {
      return {};
    }
  }

  private forgo(doubt: Doubt): void {
    try {
      localStorage.setItem(this.kept, JSON.stringify({ ...this.forgone(), [doubt]: Date.now() }));
    } catch {
      // Storage forbidden: it is asked again with the next image.
    }
  }
}
