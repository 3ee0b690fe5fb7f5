// @vitest-environment jsdom
/** Drafts and preferences on the wire. */
import { afterEach, expect, it, vi } from "vitest";
import {
  deleteDraft,
  listDrafts,
  patchPreferences,
  putDraft,
  readDraft,
  readServerPreferences,
} from "../../src/api/drafts";
import { encodeLabels } from "../../src/api/labels";
import { json, stubFetch } from "./stubs";

afterEach(() => {
  vi.unstubAllGlobals();
});

const counts = { cells: [], highest: 4, edits: 2, seconds_spent: 9, regions: null };
const work = { ...counts, writer: "here", lineage: [] };
const said = { image: 7, base: 3, prediction: null, saved_at: "2026-11-01T10:00:05Z", work };

it("no draft is null, another failure is an error", async () => {
  stubFetch(() => json({ message: "You have no draft." }, 404));
  expect(await readDraft(7)).toBeNull();
  stubFetch(() => json({ message: "Not yours." }, 403));
  await expect(readDraft(7)).rejects.toThrow("Not yours.");
});

it("a draft that another program saved is read for what it has", async () => {
  stubFetch(() => json({ ...said, work: { note: "mine" } }));
  expect(await readDraft(7)).toMatchObject({ base: 3, work: { cells: [], highest: 0 } });
});

it("a draft is sent as two parts, with its time, and the answer is what the server has", async () => {
  const calls = stubFetch(() => json(said));
  const savedAt = Date.parse("2026-11-01T10:00:00.125Z");
  const labels = await encodeLabels(Uint32Array.of(0, 4));
  const kept = await putDraft(7, {
    draft: { base: 3, prediction: 5, savedAt, work },
    labels,
    replaces: savedAt - 125,
  });
  expect(kept.savedAt).toBe(Date.parse(said.saved_at));
  const [call] = calls;
  expect(call).toMatchObject({ method: "PUT", address: "/api/v1/images/7/draft/" });
  const form = call?.body as FormData;
  expect(JSON.parse(form.get("document") as string)).toEqual({
    base: 3,
    prediction: 5,
    saved_at: "2026-11-01T10:00:00.125Z",
    replaces: "2026-11-01T10:00:00.000Z",
    dtype: "uint16",
    work,
  });
  expect((form.get("labels") as Blob).size).toBe(labels.bytes.byteLength);
});

it("drafts and preferences have their addresses", async () => {
  const calls = stubFetch(({ method }) =>
    method === "DELETE" ? new Response(null, { status: 204 }) : json({ drafts: [] }),
  );
  await deleteDraft(7);
  expect(await listDrafts(2)).toEqual([]);
  await readServerPreferences(2);
  await patchPreferences(2, { palette: "colour-blind" });
  expect(calls.map(({ method, address }) => `${method} ${address.slice(8)}`)).toEqual([
    "DELETE images/7/draft/",
    "GET datasets/2/drafts/",
    "GET datasets/2/preferences/",
    "PATCH datasets/2/preferences/",
  ]);
});
