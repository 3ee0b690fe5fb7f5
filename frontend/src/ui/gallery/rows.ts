/** A list of cells as the server gave it, and what was done to them since. No DOM. */
import type { CellGroup } from "../../api/cells";
import type { ChangedCells, Gallery, GalleryImage, Verdict } from "../../api/types";

/** What this person did to a cell since the list was read. */
export type Mark = "" | Verdict;

export interface CellRow {
  readonly image: GalleryImage;
  readonly label: number;
  /** Null: none. */
  readonly type: string | null;
  /** 0 … 1; null: no model has seen it. */
  readonly uncertainty: number | null;
  readonly answered: boolean;
  readonly mark: Mark;
}

export interface Deed {
  readonly verdict: Verdict;
  readonly type: string | null;
}

export class CellRows {
  readonly count: number;
  readonly types: readonly string[];
  readonly leftOff: number;
  /** What outliers and nearest were told by. */
  readonly looks: Gallery["looks"];
  private readonly images: GalleryImage[];
  private readonly image: Int32Array;
  private readonly labels: Int32Array;
  private readonly type: Int16Array;
  private readonly uncertainty: Int16Array;
  private readonly answered: Uint8Array;
  private readonly marks = new Map<number, Mark>();

  constructor(listed: Gallery) {
    this.count = listed.label.length;
    this.types = listed.types;
    this.leftOff = listed.left_off;
    this.looks = listed.looks;
    this.images = [...listed.images];
    this.image = Int32Array.from(listed.image);
    this.labels = Int32Array.from(listed.label);
    this.type = Int16Array.from(listed.type);
    this.uncertainty = Int16Array.from(listed.uncertainty);
    this.answered = Uint8Array.from(listed.answered);
  }

  /** The cell at a place of the list. */
  at(place: number): CellRow | null {
    const image = this.images[this.image[place] ?? -1];
    if (image === undefined) return null;
    const uncertainty = this.uncertainty[place] ?? -1;
    return {
      image,
      label: this.labels[place] ?? 0,
      type: this.types[this.type[place] ?? -1] ?? null,
      uncertainty: uncertainty < 0 ? null : uncertainty / 1000,
      answered: this.answered[place] === 1,
      mark: this.marks.get(place) ?? "",
    };
  }

  /** What the images showed when they were listed, or made of our changes since. */
  get shown(): readonly GalleryImage[] {
    return this.images;
  }

  /** The place of a cell, or -1. */
  find(image: number, label: number): number {
    return this.labels.findIndex(
      (other, place) => other === label && this.images[this.image[place] ?? -1]?.id === image,
    );
  }

  /** Where cells of another list are in this one, by their places there; without those gone. */
  placesOf(other: CellRows, places: Iterable<number>): Map<number, number> {
    const wanted = new Map<string, number>();
    for (const place of places) wanted.set(other.keyAt(place), place);
    const found = new Map<number, number>();
    for (let place = 0; place < this.count && found.size < wanted.size; place++) {
      const there = wanted.get(this.keyAt(place));
      if (there !== undefined) found.set(there, place);
    }
    return found;
  }

  private keyAt(place: number): string {
    const image = this.images[this.image[place] ?? -1];
    return image === undefined ? "" : keyOf(image.id, this.labels[place] ?? 0);
  }

  /** Cells that can still be changed, by image; `places` that are in none are left out. */
  groups(places: readonly number[]): Group[] {
    const found = new Map<number, { labels: number[]; places: number[] }>();
    for (const place of places) {
      if (this.marks.get(place) === "rejected") continue;
      const row = this.image[place];
      if (row === undefined) continue;
      const group = found.get(row) ?? { labels: [], places: [] };
      found.set(row, group);
      group.labels.push(this.labels[place] ?? 0);
      group.places.push(place);
    }
    return [...found].flatMap(([row, group]) => {
      const image = this.images[row];
      if (image === undefined) return [];
      const { id, revision, prediction } = image;
      return [{ ...group, cells: { image: id, revision, prediction, labels: group.labels } }];
    });
  }

  /** The server has done this to `groups`, but for images that others had changed. */
  note(groups: readonly Group[], deed: Deed, answer: ChangedCells): void {
    const moved = new Set(answer.moved.map(({ image }) => image));
    for (const { revision, image } of answer.revisions) this.revised(image, revision);
    const type = deed.type === null ? -1 : this.types.indexOf(deed.type);
    for (const { cells, places } of groups) {
      if (moved.has(cells.image)) continue;
      for (const place of places) {
        this.marks.set(place, deed.verdict);
        this.answered[place] = 1;
        if (deed.verdict === "retyped") this.type[place] = type;
      }
    }
  }

  private revised(image: number, revision: number): void {
    const row = this.images.findIndex(({ id }) => id === image);
    const shown = this.images[row];
    if (shown !== undefined) this.images[row] = { ...shown, revision };
  }
}

/** Cells of one image, and their places in the list. */
export interface Group {
  readonly places: readonly number[];
  readonly cells: CellGroup;
}

/** Images in one request: each is a revision, and somebody waits. */
const IMAGES_AT_ONCE = 20;
const CELLS_AT_ONCE = 5_000;

/** Groups in parts that are sent one after the other. */
export function partsOf(groups: readonly Group[]): Group[][] {
  const parts: Group[][] = [];
  let cells = Infinity;
  for (const group of groups) {
    const part = parts.at(-1);
    cells += group.places.length;
    if (part === undefined || part.length >= IMAGES_AT_ONCE || cells > CELLS_AT_ONCE) {
      parts.push([group]);
      cells = group.places.length;
    } else part.push(group);
  }
  return parts;
}

/** Cells by image, as a request names them. */
export function groupsOf(cells: readonly Pick<CellRow, "image" | "label">[]): CellGroup[] {
  const found = new Map<number, CellGroup & { labels: number[] }>();
  for (const { image, label } of cells) {
    const group = found.get(image.id);
    if (group) group.labels.push(label);
    else {
      const { id, revision, prediction } = image;
      found.set(id, { image: id, revision, prediction, labels: [label] });
    }
  }
  return [...found.values()];
}

export const keyOf = (image: number, label: number): string => `${image}:${label}`;
