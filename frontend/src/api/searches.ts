/** Searches for training settings. */
import { getJson, sendJson } from "./client";
import type { NewSearch, Page, Search, SearchDetail, SearchStatus } from "./types";

const OVER: readonly SearchStatus[] = ["done", "failed", "cancelled"];

/** True when the search will not move on by itself. */
export const isSearchOver = (search: Pick<Search, "status">): boolean =>
  OVER.includes(search.status);

export const listSearches = (datasetId: number, signal?: AbortSignal): Promise<Page<Search>> =>
  getJson("searches/", { query: { dataset: datasetId, limit: 20 }, signal });

export const readSearch = (id: number, signal?: AbortSignal): Promise<SearchDetail> =>
  getJson(`searches/${id}/`, { signal });

export const startSearch = (search: NewSearch): Promise<SearchDetail> =>
  sendJson("POST", "searches/", search);

export const cancelSearch = (id: number): Promise<SearchDetail> =>
  sendJson("POST", `searches/${id}/cancel/`);
