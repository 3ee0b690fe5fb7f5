/** Cells of a whole data set: their order, their pictures, and answers about them. */
import { getJson, sendJson } from "./client";
import type {
  AnsweredCells,
  CellDetail,
  ChangedCells,
  Gallery,
  GallerySort,
  Question,
  SeenBy,
  Split,
  Verdict,
} from "./types";

export interface GalleryQuery {
  readonly sort: GallerySort;
  /** The cell that `nearest` begins with, "IMAGE:LABEL". */
  readonly near: string;
  /** A cell type's name or "none"; "" for all. */
  readonly type: string;
  readonly split: Split | "";
  readonly seen_by: SeenBy | "";
  readonly answered: "true" | "false" | "";
  readonly min_uncertainty: number;
  /** One image only; 0 for all. */
  readonly image: number;
}

/** Cells of one image as they were listed. */
export interface CellGroup {
  readonly image: number;
  readonly revision: number;
  readonly prediction: number | null;
  readonly labels: readonly number[];
}

/** A picture of a cell as a JPEG in base64, and its outline as an SVG path. */
export interface Crop {
  readonly picture: string;
  readonly outline: string;
  readonly side: number;
}

export type NamedCrop = Crop & { readonly image: number; readonly label: number };

export interface Answer {
  readonly cell: number;
  readonly verdict: Verdict;
  readonly type?: string | null;
}

/** Units of the square in which outlines are drawn. */
export const OUTLINE_SIDE = 128;

export function listCells(
  datasetId: number,
  query: GalleryQuery,
  signal?: AbortSignal,
): Promise<Gallery> {
  // What does not matter is left out: the server takes no empty number or choice.
  const asked = Object.entries(query).filter(([, value]) => value !== "" && value !== 0);
  return getJson(`datasets/${datasetId}/cells/`, {
    query: Object.fromEntries(asked),
    signal,
  });
}

export async function readCrops(
  datasetId: number,
  cells: readonly CellGroup[],
  signal?: AbortSignal,
): Promise<NamedCrop[]> {
  const path = `datasets/${datasetId}/cells/crops/`;
  return (await sendJson<{ crops: NamedCrop[] }>("POST", path, { cells }, { signal })).crops;
}

export const readCell = (
  imageId: number,
  label: number,
  signal?: AbortSignal,
): Promise<CellDetail> => getJson(`images/${imageId}/cells/${label}/`, { signal });

export const changeCells = (
  datasetId: number,
  change: {
    readonly verdict: Verdict;
    readonly type: string | null;
    readonly images: readonly CellGroup[];
    readonly seconds_spent: number;
  },
): Promise<ChangedCells> => sendJson("POST", `datasets/${datasetId}/cells/change/`, change);

/** `cells`, `places`: those among them that this person was asked about and is asked again. */
export const undoCells = (
  datasetId: number,
  revisions: readonly number[],
  cells: readonly number[] = [],
  places: readonly number[] = [],
): Promise<ChangedCells> =>
  sendJson("POST", `datasets/${datasetId}/cells/undo/`, { revisions, cells, places });

/** Leases cells to answer for; `holding`: those at hand already, whose leases are renewed. */
export async function askCells(
  datasetId: number,
  count: number,
  holding: readonly number[],
): Promise<Question[]> {
  const path = `datasets/${datasetId}/cells/next/`;
  return (await sendJson<{ questions: Question[] }>("POST", path, { count, holding })).questions;
}

/** `keepalive`: the page is going away. */
export const answerCells = (
  datasetId: number,
  answers: readonly Answer[],
  seconds: number,
  keepalive = false,
): Promise<AnsweredCells> =>
  sendJson(
    "POST",
    `datasets/${datasetId}/cells/answers/`,
    { answers, seconds_spent: seconds },
    { keepalive },
  );

export const releaseCells = (
  datasetId: number,
  cells: readonly number[],
  keepalive = false,
): Promise<null> =>
  sendJson("POST", `datasets/${datasetId}/cells/release/`, { cells }, { keepalive });
