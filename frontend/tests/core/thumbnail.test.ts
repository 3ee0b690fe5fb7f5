import { expect, it } from "vitest";
import { shrunk } from "../../src/core/thumbnail";

it("a small image keeps its size and its values", () => {
  const image = { width: 3, height: 2, channels: [Uint16Array.from([1, 2, 3, 4, 5, 6])] };
  const small = shrunk(image, 180);
  expect([small.width, small.height]).toEqual([3, 2]);
  expect([...(small.channels[0] ?? [])]).toEqual([1, 2, 3, 4, 5, 6]);
});

it("each small pixel is the mean of its own place", () => {
  const [width, height] = [60, 40];
  const values = Uint16Array.from(
    { length: width * height },
    (_, at) => 100 * Math.floor(at / width / 10) + Math.floor((at % width) / 10),
  );
  const small = shrunk({ width, height, channels: [values] }, 6);
  const rows = [0, 1, 2, 3].map((y) => [0, 1, 2, 3, 4, 5].map((x) => 100 * y + x));
  expect([...(small.channels[0] ?? [])]).toEqual(rows.flat());
});

it("a large one is averaged and keeps its proportions", () => {
  const width = 400;
  const height = 100;
  const values = Uint8Array.from({ length: width * height }, (_, at) =>
    at % width < 200 ? 0 : 90,
  );
  const small = shrunk({ width, height, channels: [values, values] }, 40);
  expect([small.width, small.height]).toEqual([40, 10]);
  expect(small.channels).toHaveLength(2);
  const row = [...(small.channels[1] ?? [])].slice(0, 40);
  expect(row.slice(0, 20).every((value) => value === 0)).toBe(true);
  expect(row.slice(20).every((value) => value === 90)).toBe(true);
});
