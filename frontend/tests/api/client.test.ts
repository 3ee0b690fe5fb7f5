import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  addressOf,
  ApiError,
  cookie,
  getAll,
  getJson,
  isSignedOut,
  onSignedOut,
  request,
  sendJson,
  wasAborted,
} from "../../src/api/client";
import { json, stubFetch } from "./stubs";

beforeEach(() => {
  vi.stubGlobal("document", { cookie: "sessionid=x; csrftoken=to%2Bken" });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

async function failure(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.then(
    () => null,
    (caught: unknown) => caught,
  );
  if (!(error instanceof ApiError)) throw new Error("no ApiError was thrown");
  return error;
}

describe("addressOf", () => {
  it("puts relative paths below the API's root and leaves out empty filters", () => {
    expect(addressOf("datasets/3/images/", { split: "", status: null, search: "a b" })).toBe(
      "/api/v1/datasets/3/images/?search=a+b",
    );
  });
  it("keeps a server's own address on this origin, with its cursor", () => {
    // Behind a proxy the API may call itself by another host name.
    expect(addressOf("http://inner:8000/api/v1/x/?cursor=abc", { split: "test" })).toBe(
      "/api/v1/x/?cursor=abc&split=test",
    );
  });
});

describe("cookie", () => {
  it("decodes the value and is not fooled by a longer name", () => {
    expect(cookie("csrftoken", "xcsrftoken=1; csrftoken=a%2Bb")).toBe("a+b");
    expect(cookie("csrftoken", "xcsrftoken=1")).toBe("");
  });
});

describe("request", () => {
  it("sends the CSRF token with writes and not with reads", async () => {
    const calls = stubFetch(() => json({}));
    await getJson("me/");
    await sendJson("POST", "datasets/", { name: "a" });
    expect(calls.map(({ headers }) => headers.get("X-CSRFToken"))).toEqual([null, "to+ken"]);
  });
  it("sends objects as JSON and files as they are", async () => {
    const calls = stubFetch(() => json({}));
    const form = new FormData();
    await sendJson("POST", "a/", { n: 1 });
    await sendJson("POST", "b/", form);
    expect(calls[0]?.headers.get("Content-Type")).toBe("application/json");
    expect(calls[0]?.body).toBe('{"n":1}');
    expect(calls[1]?.headers.has("Content-Type")).toBe(false);
    expect(calls[1]?.body).toBe(form);
  });
  it("throws the server's sentence, code, fields and status", async () => {
    const said = { message: "Taken.", code: "bad_input", fields: { name: ["Exists."] } };
    stubFetch(() => json(said, 400));
    const error = await failure(request("POST", "datasets/"));
    expect(error).toMatchObject({ ...said, status: 400 });
  });
  it("says something readable when the answer is a proxy's page", async () => {
    stubFetch(() => new Response("<html>", { status: 502, statusText: "Bad Gateway" }));
    const error = await failure(request("GET", "me/"));
    expect(error.message).toBe("The server answered 502 Bad Gateway.");
  });
  it("tells a broken line from a refusal", async () => {
    stubFetch(() => {
      throw new TypeError("Failed to fetch");
    });
    expect(await failure(request("GET", "me/"))).toMatchObject({ status: 0, code: "offline" });
  });
  it("passes an abort on as it is", async () => {
    stubFetch(() => json({}));
    const stopped = getJson("me/", { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toSatisfy(wasAborted);
  });
  it("reads an answer without content as null", async () => {
    stubFetch(() => new Response(null, { status: 204 }));
    expect(await sendJson("DELETE", "images/1/")).toBeNull();
  });
});

describe("signing out", () => {
  it("is noticed on 401 and on a 403 for want of a session, not for want of a right", async () => {
    const noticed = vi.fn();
    const stop = onSignedOut(noticed);
    const answers = [
      json({ message: "m", code: "not_authenticated" }, 403),
      json({ message: "m", code: "not_allowed" }, 403),
      json({ message: "m", code: "not_authenticated" }, 401),
    ];
    stubFetch(() => answers.shift() ?? json({}));
    const errors = [];
    for (let i = 0; i < 3; i += 1) errors.push(await failure(request("GET", "datasets/")));
    stop();
    expect(errors.map(isSignedOut)).toEqual([true, false, true]);
    expect(noticed).toHaveBeenCalledTimes(2);
  });
});

describe("getAll", () => {
  const page = (from: number, next: string | null) =>
    json({ next, previous: null, results: [from, from + 1] });

  it("follows the cursor to the end", async () => {
    const calls = stubFetch(({ address }) =>
      address.includes("cursor=b")
        ? page(3, null)
        : page(1, "http://host/api/v1/model-versions/?cursor=b&dataset=1"),
    );
    expect(await getAll("model-versions/", { query: { dataset: 1 } })).toEqual([1, 2, 3, 4]);
    expect(calls.map(({ address }) => address)).toEqual([
      "/api/v1/model-versions/?dataset=1",
      "/api/v1/model-versions/?cursor=b&dataset=1",
    ]);
  });
  it("stops at the limit instead of reading for ever", async () => {
    const calls = stubFetch(() => page(1, "/api/v1/x/?cursor=again"));
    expect(await getAll("x/", {}, 5)).toHaveLength(5);
    expect(calls).toHaveLength(3);
  });
});
