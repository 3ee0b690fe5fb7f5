import { describe, expect, it } from "vitest";
import { hillOf } from "../../src/core/hills";
import { chance } from "./drawing";

const row = (heights: readonly number[], seed: number, pass = { share: 0.75, rise: 0 }): string => {
  const region = {
    values: Uint8Array.from(heights, (height) => Number(height >= 0)),
    width: heights.length,
    height: 1,
  };
  return hillOf(region, Float32Array.from(heights), seed, pass).join("");
};

describe("the hill of a pixel", () => {
  it("ends in the valley where the pass is low beside the lower top", () => {
    expect(row([0, 5, 9, 5, 2, 4, 8, 3, 0], 2)).toMatch(/^1111.00000?$/);
    expect(row([0, 5, 9, 5, 2, 4, 8, 3, 0], 7)).toMatch(/^0000.1111$/);
  });

  it("goes on where the pass is high, where it is noise, and over a shoulder", () => {
    expect(row([0, 5, 9, 8, 7, 7.5, 8, 3, 0], 2)).toBe("111111111");
    expect(row([0, 5, 9, 5, 2, 4, 8, 3, 0], 2, { share: 0.75, rise: 7 })).toBe("111111111");
    expect(row([0, 9, 90, 9, 2, 4, 8, 3, 0], 2)).toBe("111111111");
  });

  it("stays within the region", () => {
    expect(row([0, 5, 9, -1, 8, 3, 0], 2)).toBe("1110000");
  });
});

it("every pixel is of one hill, and each hill is that of all of its pixels", () => {
  const random = chance(5);
  for (let round = 0; round < 40; round++) {
    const [width, height] = [9, 7];
    const values = Uint8Array.from({ length: width * height }, () => Number(random() < 0.9));
    const heights = Float32Array.from(values, () => Math.floor(random() * 20));
    const pass = { share: 0.6, rise: 2 };
    const of = (seed: number): string =>
      hillOf({ values, width, height }, heights, seed, pass).join("");
    for (let at = 0; at < values.length; at++) {
      if (values[at] === 0) continue;
      const hill = of(at);
      expect(hill[at]).toBe("1");
      for (let other = 0; other < values.length; other++) {
        if (values[other] === 1) expect(of(other) === hill).toBe(hill[other] === "1");
      }
    }
  }
});
