/** Stand-ins for the network. */
import { vi } from "vitest";

export interface Call {
  method: string;
  address: string;
  headers: Headers;
  body: BodyInit | null | undefined;
}

/** Replaces fetch by `answer` and returns the calls made. */
export function stubFetch(answer: (call: Call) => Response | Promise<Response>): Call[] {
  const calls: Call[] = [];
  vi.stubGlobal("fetch", async (address: string, init: RequestInit = {}) => {
    if (init.signal?.aborted) throw new DOMException("aborted", "AbortError");
    const call: Call = {
      method: init.method ?? "GET",
      address,
      headers: new Headers(init.headers),
      body: init.body,
    };
    calls.push(call);
    return answer(call);
  });
  return calls;
}

export function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}
