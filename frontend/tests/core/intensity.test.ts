import { expect, it } from "vitest";
import { autoContrast, histogram, sortedSample } from "../../src/core/intensity";

it("contrast spans the 1st to the 99.8th percentile of 16-bit values", () => {
  const ramp = Uint16Array.from({ length: 10_000 }, (_, index) => index);
  expect(autoContrast(sortedSample(ramp))).toEqual({ black: 100, white: 9980 });
});

it("contrast of an empty channel is still a range", () => {
  const { black, white } = autoContrast(sortedSample(new Uint16Array(100)));
  expect(white).toBeGreaterThan(black);
});

it("values that are no numbers do not spoil the contrast", () => {
  const pixels = Float32Array.from([Number.NaN, 0, 1, Number.POSITIVE_INFINITY]);
  expect([...sortedSample(pixels)]).toEqual([0, 1]);
});

it("a histogram counts each value once", () => {
  const heights = histogram(Float32Array.from([0, 0, 0, 0, 9]), { black: 0, white: 10 }, 10);
  expect(heights[0]).toBe(1);
  expect(heights[9]).toBeCloseTo(0.5);
});
