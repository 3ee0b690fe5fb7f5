/** What is uploaded, in which order and in which portions. No network. */
import type { ImportReport, ParsedName } from "../api/types";

export interface FileLike {
  readonly name: string;
  readonly size: number;
}

/** Tells in which folder a file lay. */
export type FolderOf<F> = (file: F) => string;

export interface PreviewCounts {
  images: number;
  labels: number;
  types: number;
  ignored: number;
  /** Images whose name gives no cell type. */
  untyped: number;
  bySplit: Record<string, number>;
  byCulture: Record<string, number>;
}

const BATCH_FILES = 20;
const BATCH_BYTES = 64_000_000;
const COMPANION = /_(masks|cp_masks|seg|rois|types)$/i;
const IMAGE = /_img$/i;

/** The stem that an image shares with the masks and types beside it, as the server reads it. */
export function stemOf(name: string): string {
  return withoutExtension(name).replace(COMPANION, "").replace(IMAGE, "");
}

function withoutExtension(name: string): string {
  return name.replace(/\.ome(?=\.tiff?$)/i, "").replace(/\.[^.]*$/, "");
}

/** How many of what a preview found. */
export function countNames(parsed: readonly ParsedName[]): PreviewCounts {
  const counts: PreviewCounts = {
    images: 0,
    labels: 0,
    types: 0,
    ignored: 0,
    untyped: 0,
    bySplit: {},
    byCulture: {},
  };
  for (const { kind, split, culture } of parsed) {
    if (kind === "image") {
      counts.images += 1;
      if (split) counts.bySplit[split] = (counts.bySplit[split] ?? 0) + 1;
      if (culture) counts.byCulture[culture] = (counts.byCulture[culture] ?? 0) + 1;
      else counts.untyped += 1;
    } else counts[kind] += 1;
  }
  return counts;
}

/** The files worth sending: all but those that the preview says would be ignored. */
export function wantedFiles<F extends FileLike>(
  files: readonly F[],
  parsed: readonly ParsedName[],
): F[] {
  const ignored = new Set(parsed.filter(({ kind }) => kind === "ignored").map(({ name }) => name));
  return files.filter(({ name }) => !ignored.has(name));
}

/** Whether `name` is that of masks or types, which belong to an image. */
function isCompanion(name: string): boolean {
  return COMPANION.test(withoutExtension(name));
}

/**
 * Portions of about 20 files or 64 MB. An image and the masks beside it in its folder always
 * travel together, because the server pairs them within one request. Masks in a folder of their
 * own go last: by then the server has the image that they belong to.
 */
export function batchFiles<F extends FileLike>(
  files: readonly F[],
  folderOf: FolderOf<F> = () => "",
): F[][] {
  const groups = new Map<string, F[]>();
  for (const file of files) {
    const key = `${folderOf(file)}/${stemOf(file.name)}`;
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  const lonely = (group: F[]): number => Number(group.every(({ name }) => isCompanion(name)));
  const batches: F[][] = [];
  let batch: F[] = [];
  for (const group of [...groups.values()].sort((a, b) => lonely(a) - lonely(b))) {
    const full =
      batch.length + group.length > BATCH_FILES || sizeOf(batch) + sizeOf(group) > BATCH_BYTES;
    if (full && batch.length > 0) {
      batches.push(batch);
      batch = [];
    }
    batch.push(...group);
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

export function sizeOf(files: readonly FileLike[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

export function emptyReport(): ImportReport {
  return { imported: [], duplicates: [], revisions: 0, failed: [], notes: [] };
}

export function addReports(a: ImportReport, b: ImportReport): ImportReport {
  return {
    imported: [...a.imported, ...b.imported],
    duplicates: [...a.duplicates, ...b.duplicates],
    revisions: a.revisions + b.revisions,
    failed: [...a.failed, ...b.failed],
    notes: [...a.notes, ...b.notes],
  };
}
