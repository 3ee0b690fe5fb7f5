/**
 * A small typed client on fetch.
 *
 * Every failure is an ApiError carrying the server's own sentence; a request that was aborted
 * rejects with the DOM's AbortError, which callers may ignore (see `wasAborted`). When the server
 * says that nobody is signed in, listeners of `onSignedOut` are told once per answer.
 */
import type { Page } from "./types";

export const API = "/api/v1/";

/** The server's refusal or the network's failure, in one sentence a person can read. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when the server could not be reached at all. */
    readonly status: number,
    /** The API's code, e.g. `stale_revision`; `offline` when the server was not reached. */
    readonly code: string,
    readonly fields: Readonly<Record<string, string[]>> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>;

export interface RequestOptions {
  /** Sent as JSON, unless it is FormData, a Blob or bytes, which travel as they are. */
  body?: unknown;
  query?: Query;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Sent even while the page is going away. */
  keepalive?: boolean;
}

const signedOutListeners = new Set<() => void>();

/** Calls `listener` whenever an answer shows that the session has ended. Returns the way out. */
export function onSignedOut(listener: () => void): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

/** True for the error of a request that its caller gave up. */
export function wasAborted(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** One sentence for people about any caught value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `path` below the API's root, or an address the API itself gave, with `query` added. */
export function addressOf(path: string, query: Query = {}): string {
  const base = /^https?:/.test(path) ? new URL(path).pathname + new URL(path).search : path;
  const address = base.startsWith("/") ? base : API + base;
  const pairs = Object.entries(query).filter(([, value]) => value != null && value !== "");
  if (pairs.length === 0) return address;
  const search = new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]));
  return `${address}${address.includes("?") ? "&" : "?"}${search.toString()}`;
}

/** Value of the cookie `name`, or the empty string. */
export function cookie(name: string, cookies: string = document.cookie): string {
  const found = cookies.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

/** Sends a request and returns the answer when it is a success; else throws an ApiError. */
export async function request(
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<Response> {
  const { body, headers } = encodeBody(options);
  if (method !== "GET") headers.set("X-CSRFToken", cookie("csrftoken"));
  let response: Response;
  try {
    response = await fetch(addressOf(path, options.query), {
      method,
      headers,
      credentials: "same-origin",
      ...(body === undefined ? {} : { body }),
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.keepalive ? { keepalive: true } : {}),
    });
  } catch (error) {
    if (wasAborted(error)) throw error;
    throw new ApiError("The server cannot be reached. Is it running?", 0, "offline");
  }
  if (response.ok) return response;
  throw failureOf(response.status, response.statusText, await response.text().catch(() => ""));
}

/** True when `error` says that nobody is signed in (rather than that the right is missing). */
export function isSignedOut(error: unknown): boolean {
  return (
    error instanceof ApiError &&
    (error.status === 401 || (error.status === 403 && error.code === "not_authenticated"))
  );
}

/** The error that an unsuccessful answer stands for; tells the listeners of `onSignedOut`. */
export function failureOf(status: number, statusText: string, text: string): ApiError {
  const failure = parseFailure(status, statusText, text);
  if (isSignedOut(failure)) for (const listener of signedOutListeners) listener();
  return failure;
}

function parseFailure(status: number, statusText: string, text: string): ApiError {
  const fallback = `${`The server answered ${status} ${statusText}`.trim()}.`;
  try {
    const said = JSON.parse(text) as Partial<Pick<ApiError, "message" | "code" | "fields">>;
    return new ApiError(said.message ?? fallback, status, said.code ?? "error", said.fields ?? {});
  } catch {
    // Not JSON: a proxy's page, or a crash before the API's own error handler.
    return new ApiError(fallback, status, "error");
  }
}

export async function getJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  return (await (await request("GET", path, options)).json()) as T;
}

/** Sends `body` and reads the answer; an answer without content gives null. */
export async function sendJson<T>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  options: Omit<RequestOptions, "body"> = {},
): Promise<T> {
  const response = await request(method, path, { ...options, body });
  const text = response.status === 204 ? "" : await response.text();
  return (text === "" ? null : JSON.parse(text)) as T;
}

/** Every row of a cursor-paginated list, page after page, at most `limit` rows. */
export async function getAll<T>(
  path: string,
  options: RequestOptions = {},
  limit = 1000,
): Promise<T[]> {
  const rows: T[] = [];
  let page = await getJson<Page<T>>(path, options);
  rows.push(...page.results);
  while (page.next && rows.length < limit) {
    page = await getJson<Page<T>>(page.next, { signal: options.signal });
    rows.push(...page.results);
  }
  return rows.slice(0, limit);
}

function encodeBody(options: RequestOptions): { body: BodyInit | undefined; headers: Headers } {
  const headers = new Headers({ Accept: "application/json", ...options.headers });
  const { body } = options;
  if (body === undefined || body === null) return { body: undefined, headers };
  const asIs =
    body instanceof FormData ||
    body instanceof Blob ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body);
  if (asIs) return { body: body as BodyInit, headers };
  headers.set("Content-Type", "application/json");
  return { body: JSON.stringify(body), headers };
}
