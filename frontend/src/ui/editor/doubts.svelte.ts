/** What is asked before an image is handed in that may not be what somebody meant to submit. */
import { completeWhole } from "../../core/completeness";
import { select } from "../../core/commands";
import { cellsOf } from "../../core/document";
import { session } from "../session.svelte";
import type { Editor } from "./editor.svelte";
import { cultureType } from "./opening";

export type Doubt = "nothing complete" | "no cell" | "no type";

/** Cells that only a person can type: where the file name does not, and there are types. */
export function untypedCells({ opened, settled }: Editor): number[] {
  const { dataset, image } = opened;
  if (dataset.types.length === 0 || cultureType(image, dataset) !== null) return [];
  return [...cellsOf(settled.doc)].filter(({ type }) => type === null).map(({ label }) => label);
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

  /** It is meant; with `always` nobody is asked this in the data set any more. */
  submitAnyway(always: boolean): void {
    if (this.asking === null) return;
    this.answered = [...this.answered, this.asking];
    // An image without a cell is always asked about.
    if (always && this.asking !== "no cell") this.forgo(this.asking);
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
    if (regions?.length === 0) found.push("nothing complete");
    if (geometry.size === 0) found.push("no cell");
    if (untypedCells(this.editor).length > 0) found.push("no type");
    const forgone = this.forgone();
    return (
      found.find((doubt) => !this.answered.includes(doubt) && !forgone.includes(doubt)) ?? null
    );
  }

  private get kept(): string {
    return `cytoloop.unasked.${session.me?.username ?? ""}.${this.editor.opened.dataset.id}`;
  }

  private forgone(): string[] {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(this.kept) ?? "[]");
      return Array.isArray(kept) ? kept.map(String) : [];
    } catch {
      return [];
    }
  }

  private forgo(doubt: Doubt): void {
    try {
      localStorage.setItem(this.kept, JSON.stringify([...this.forgone(), doubt]));
    } catch {
      // Storage forbidden: it is asked again with the next image.
    }
  }
}
