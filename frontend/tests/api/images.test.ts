import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../../src/api/client";
import { previewNames, PREVIEW_CHUNK } from "../../src/api/datasets";
import { listImages, uploadImages } from "../../src/api/images";
import { json, stubFetch } from "./stubs";

class FakeUpload {
  static last: FakeUpload;
  upload: { onprogress?: (event: { loaded: number; total: number }) => void } = {};
  onload?: () => void;
  onerror?: () => void;
  onabort?: () => void;
  status = 0;
  statusText = "";
  responseText = "";
  sent: FormData | null = null;
  address = "";
  headers: Record<string, string> = {};

  constructor() {
    FakeUpload.last = this;
  }
  open(_method: string, address: string): void {
    this.address = address;
  }
  setRequestHeader(name: string, value: string): void {
    this.headers[name] = value;
  }
  send(form: FormData): void {
    this.sent = form;
  }
  abort(): void {
    this.onabort?.();
  }
  answer(status: number, body: unknown): void {
    this.status = status;
    this.responseText = JSON.stringify(body);
    this.onload?.();
  }
}

beforeEach(() => {
  vi.stubGlobal("document", { cookie: "csrftoken=t" });
  vi.stubGlobal("XMLHttpRequest", FakeUpload);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

const report = {
  imported: [{ id: 1, name: "a.tif" }],
  duplicates: [],
  revisions: 1,
  failed: [],
  notes: [],
};
const files = [new File(["12"], "a.tif"), new File(["3"], "a_masks.tif")];

describe("uploadImages", () => {
  it("sends all files in one form with the choices made, and tells the share sent", async () => {
    const shares: number[] = [];
    const done = uploadImages(
      7,
      files,
      { split: "test", culture: "", folders: ["A", ""] },
      (share) => shares.push(share),
      new AbortController().signal,
    );
    FakeUpload.last.upload.onprogress?.({ loaded: 1, total: 4 });
    FakeUpload.last.answer(201, report);
    expect(await done).toEqual(report);
    const { sent, address, headers } = FakeUpload.last;
    expect(address).toBe("/api/v1/datasets/7/images/");
    expect(headers["X-CSRFToken"]).toBe("t");
    expect(sent?.getAll("files").map((file) => (file as File).name)).toEqual([
      "a.tif",
      "a_masks.tif",
    ]);
    expect(sent?.getAll("folders")).toEqual(["A", ""]);
    expect(sent?.get("split")).toBe("test");
    expect(sent?.has("culture")).toBe(false);
    expect(shares).toEqual([0.25]);
  });
  it("rejects with the server's refusal, and with AbortError when stopped", async () => {
    const choices = { split: "", culture: "" } as const;
    const stop = new AbortController();
    const refused = uploadImages(7, files, choices, () => undefined, stop.signal);
    FakeUpload.last.answer(413, { message: "Too large.", code: "bad_input" });
    await expect(refused).rejects.toMatchObject(new ApiError("Too large.", 413, "bad_input"));
    const stopped = uploadImages(7, files, choices, () => undefined, stop.signal);
    stop.abort();
    await expect(stopped).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("listImages", () => {
  it("asks only for the filters that are set", async () => {
    const calls = stubFetch(() => json({ next: null, previous: null, results: [] }));
    await listImages(2, { split: "test", status: "", search: "" });
    expect(calls[0]?.address).toBe("/api/v1/datasets/2/images/?split=test");
  });
});

describe("previewNames", () => {
  it("asks for thousands of names in portions and keeps their order", async () => {
    const calls = stubFetch(({ body }) => {
      const { names } = JSON.parse(body as string) as { names: string[] };
      return json({ names: names.map((name) => ({ name })) });
    });
    const names = Array.from({ length: PREVIEW_CHUNK + 3 }, (_, i) => `f${i}.tif`);
    const parsed = await previewNames(1, names, "{type}");
    expect(calls).toHaveLength(2);
    expect(parsed.map(({ name }) => name)).toEqual(names);
  });
});
