/** Addresses of the pages: parsed and built here and nowhere else. No DOM. */
import type { Point } from "../core/geometry";

export type DatasetPageName =
  | "dataset"
  | "queue"
  | "correct"
  | "gallery"
  | "upload"
  | "models"
  | "training"
  | "export"
  | "settings";

/** What somebody is asked about: a cell as a prediction numbers it, or a place without one. */
export type Asked =
  { readonly cell: number; readonly prediction: number } | { readonly place: Point };

export type Route =
  | { page: "sign-in"; next: string }
  | { page: "datasets" }
  | { page: DatasetPageName; datasetId: number }
  | { page: "image"; imageId: number; look: boolean; asked?: Asked }
  | { page: "not-found" };

const DATASET_PAGES: Readonly<Record<string, DatasetPageName>> = {
  "": "dataset",
  queue: "queue",
  correct: "correct",
  gallery: "gallery",
  upload: "upload",
  models: "models",
  training: "training",
  export: "export",
  settings: "settings",
};

/** Paths that the server answers itself: a link to one of them is a real navigation. */
const SERVER_PATHS = /^\/(api|admin|static|health|metrics)(\/|$)/;

export const paths = {
  signIn: (next = "/"): string =>
    next === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(next)}`,
  datasets: (): string => "/",
  dataset: (id: number, page: DatasetPageName = "dataset"): string =>
    page === "dataset" ? `/datasets/${id}` : `/datasets/${id}/${page}`,
  /** The gallery, with the cells that one is asked about. */
  ask: (id: number): string => `/datasets/${id}/gallery?ask`,
  /** `look`: to be seen, not changed. */
  image: (id: number, look = false): string => `/images/${id}${look ? "?look" : ""}`,
  /** The image, to draw what one is asked about. */
  asked: (id: number, asked: Asked): string =>
    "place" in asked
      ? `/images/${id}?place=${asked.place.x},${asked.place.y}`
      : `/images/${id}?cell=${asked.cell}&prediction=${asked.prediction}`,
} as const;

/** The route that `address` (path with optional query) stands for. */
export function parse(address: string): Route {
  const [rawPath = "/", query = ""] = address.split("?", 2);
  const parts = rawPath.split("/").filter((part) => part !== "");
  const [noun, rawId, page = "", ...rest] = parts;
  if (noun === undefined) return { page: "datasets" };
  if (noun === "sign-in" && parts.length === 1) {
    return { page: "sign-in", next: safeNext(new URLSearchParams(query).get("next")) };
  }
  const id = idOf(rawId);
  if (id === null || rest.length > 0) return { page: "not-found" };
  if (noun === "images" && page === "") {
    const asked = askedOf(new URLSearchParams(query));
    const look = new URLSearchParams(query).has("look");
    return { page: "image", imageId: id, look, ...(asked && { asked }) };
  }
  const name = Object.hasOwn(DATASET_PAGES, page) ? DATASET_PAGES[page] : undefined;
  if (noun === "datasets" && name) return { page: name, datasetId: id };
  return { page: "not-found" };
}

const idOf = (text: string | null | undefined): number | null =>
  text != null && /^[1-9]\d*$/.test(text) ? Number(text) : null;

function askedOf(query: URLSearchParams): Asked | null {
  const place = placeOf(query.get("place"));
  if (place !== null) return { place };
  const [cell, prediction] = [idOf(query.get("cell")), idOf(query.get("prediction"))];
  return cell === null || prediction === null ? null : { cell, prediction };
}

function placeOf(text: string | null): Point | null {
  const parts = text?.split(",") ?? [];
  const [x, y] = parts.map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (parts.length !== 2 || x === undefined || y === undefined) return null;
  return Number.isFinite(x) && Number.isFinite(y) ? { x, y } : null;
}

/** Does an address of the gallery stand for the cells that one is asked about? */
export function isAsk(address: string): boolean {
  return new URLSearchParams(address.split("?", 2)[1] ?? "").has("ask");
}

/** `next` when it leads to a page of ours; else the start page. Never another site. */
export function safeNext(next: string | null): string {
  if (!next?.startsWith("/") || next.startsWith("//") || next.includes("\\")) return "/";
  return parse(next).page === "sign-in" ? "/" : next;
}

/** True when a click on a link to `path` should stay inside the app. */
export function isOurs(path: string): boolean {
  return path.startsWith("/") && !path.startsWith("//") && !SERVER_PATHS.test(path);
}
