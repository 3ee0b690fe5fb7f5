import { afterEach, expect, it, vi } from "vitest";
import { cellAt, masksAt } from "../../src/api/flows";
import { json, stubFetch } from "./stubs";

// A request that writes carries the token in a cookie.
vi.stubGlobal("document", { cookie: "" });

afterEach(() => {
  vi.unstubAllGlobals();
  vi.stubGlobal("document", { cookie: "" });
});

it("asks for the cell under a pixel and reads its rows", async () => {
  const calls = stubFetch(() =>
    json({
      spans: [
        [4, 1, 3],
        [5, 0, 4],
      ],
    }),
  );
  expect(await cellAt(7, { x: 2.9, y: 4.2 })).toEqual([
    { y: 4, x0: 1, x1: 3 },
    { y: 5, x0: 0, x1: 4 },
  ]);
  expect(calls[0]).toMatchObject({
    method: "POST",
    address: "/api/v1/images/7/prediction/cell/",
    body: JSON.stringify({ x: 2, y: 4 }),
  });
});

it("says in the server's words why there is no cell", async () => {
  stubFetch(() => json({ message: "The segmenter sees no cell there.", code: "not_here" }, 404));
  await expect(cellAt(7, { x: 2, y: 4 })).rejects.toMatchObject({
    message: "The segmenter sees no cell there.",
    status: 404,
  });
});

it("reads the masks at other thresholds as raw labels", async () => {
  const calls = stubFetch(
    () =>
      new Response(Uint16Array.from([0, 1, 2, 2]).buffer, {
        headers: { "X-Shape": "2,2", "X-Dtype": "uint16", "X-Prediction": "3" },
      }),
  );
  const wanted = { cellprobThreshold: -1.5, flowThreshold: 0.6, minSize: 30 };
  const found = await masksAt(7, wanted);
  expect([...found.values]).toEqual([0, 1, 2, 2]);
  expect(found.headers.get("X-Prediction")).toBe("3");
  expect(calls[0]).toMatchObject({ address: "/api/v1/images/7/prediction/masks/" });
  expect(JSON.parse(String(calls[0]?.body))).toEqual({
    cellprob_threshold: -1.5,
    flow_threshold: 0.6,
    min_size: 30,
  });
});
