import { describe, expect, it } from "vitest";
import { brightnessOf, depths, readIntensity, smoothed, valleys } from "../../src/core/landscape";
import { referenceOf } from "../../src/core/reference";
import type { Window } from "../../src/core/regions";
import { chance } from "./drawing";

function randomWindow(seed: number): Window {
  const random = chance(seed);
  const width = 1 + Math.floor(random() * 14);
  const height = 1 + Math.floor(random() * 14);
  const values = Uint8Array.from({ length: width * height }, () => Number(random() < 0.8));
  return { values, width, height };
}

describe("depths", () => {
  it("are the least cost to a pixel outside: 3 beside, 4 across a corner", () => {
    for (let seed = 0; seed < 100; seed++) {
      const window = randomWindow(seed);
      const { values, width, height } = window;
      const outside: [number, number][] = [];
      for (let y = -1; y <= height; y++) {
        for (let x = -1; x <= width; x++) {
          const within = x >= 0 && y >= 0 && x < width && y < height;
          if (!within || values[y * width + x] === 0) outside.push([x, y]);
        }
      }
      depths(window).forEach((depth, at) => {
        const [x, y] = [at % width, Math.floor(at / width)];
        const costs = outside.map(([ox, oy]) => {
          const [far, near] = [Math.abs(ox - x), Math.abs(oy - y)].sort((a, b) => b - a) as [
            number,
            number,
          ];
          return 3 * far + near;
        });
        expect(depth).toBe(Math.min(...costs));
      });
    }
  });
});

describe("smoothing", () => {
  it("is the mean of the inside pixels around", () => {
    const random = chance(4);
    for (let seed = 0; seed < 50; seed++) {
      const window = randomWindow(200 + seed);
      const { width, height } = window;
      const raw = Float32Array.from(window.values, () => Math.floor(random() * 1000));
      smoothed(window, raw).forEach((value, at) => {
        if (window.values[at] === 0) {
          expect(value).toBe(raw[at]);
          return;
        }
        const around: number[] = [];
        for (let other = 0; other < raw.length; other++) {
          const dx = Math.abs((other % width) - (at % width));
          const dy = Math.abs(Math.floor(other / width) - Math.floor(at / width));
          if (dx <= 1 && dy <= 1 && window.values[other] === 1) around.push(raw[other] as number);
        }
        expect(height).toBeGreaterThan(0);
        expect(value).toBeCloseTo(around.reduce((a, b) => a + b) / around.length, 2);
      });
    }
  });
});

describe("reading the image", () => {
  const size = { width: 3, height: 2 };

  it("takes the cytoplasm channel, else all channels with equal weight", () => {
    const nucleus = Uint16Array.from([0, 0, 0, 0, 0, 1000]);
    const cytoplasm = Uint16Array.from([10, 20, 30, 40, 50, 60]);
    const channels = [nucleus, cytoplasm];
    const named = referenceOf({ ...size, channels, roles: ["nucleus", "cytoplasm"] }, null);
    expect(named.cytoplasm?.values).toBe(cytoplasm);
    expect(named.brightness?.values).toBe(cytoplasm);
    const unnamed = referenceOf({ ...size, channels, roles: ["nucleus", "other"] }, null);
    expect(unnamed.cytoplasm).toBeNull();
    expect(named.nuclei?.values).toBe(nucleus);
    expect(unnamed.nuclei, "cells are told apart by what shows them").toBeNull();
    expect([...(unnamed.brightness?.values ?? [])].map((value) => Math.round(value * 10))).toEqual([
      0, 2, 4, 6, 8, 20,
    ]);
    expect(brightnessOf([], size)).toBeNull();
  });

  it("reads a box row by row, and 0 for what is no number", () => {
    const values = Float32Array.from([1, 2, Number.NaN, 4, 5, 6]);
    const box = { x0: 1, y0: 0, x1: 3, y1: 2 };
    expect([...readIntensity({ ...size, values }, box)]).toEqual([2, 0, 5, 6]);
  });

  it("makes the brightest pixel of the inside the lowest, and a flat inside level", () => {
    const window = { values: Uint8Array.from([1, 1, 0, 1]), width: 4, height: 1 };
    const [dark, bright, , between] = valleys(window, Float32Array.from([10, 20, 900, 15]));
    expect([dark, bright, between]).toEqual([255, 0, 128]);
    const [first, second, , third] = valleys(window, Float32Array.from([7, 7, 900, 7]));
    expect(new Set([first, second, third]).size).toBe(1);
  });
});
