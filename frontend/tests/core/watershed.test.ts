import { describe, expect, it } from "vitest";
import type { Window } from "../../src/core/regions";
import { spread, watershed } from "../../src/core/watershed";
import { chance } from "./drawing";

interface Scene {
  readonly window: Window;
  readonly levels: Uint8Array;
  readonly seeds: Int32Array;
}

function randomScene(seed: number, steps: number): Scene {
  const random = chance(seed);
  const width = 2 + Math.floor(random() * 11);
  const height = 2 + Math.floor(random() * 11);
  const count = width * height;
  const values = Uint8Array.from({ length: count }, () => Number(random() < 0.85));
  const levels = Uint8Array.from({ length: count }, () => Math.floor(random() * steps));
  const seeds = new Int32Array(count);
  for (let piece = 1; piece <= 3; piece++) seeds[Math.floor(random() * count)] = piece;
  return { window: { values, width, height }, levels, seeds };
}

function neighbours({ values, width, height }: Window, at: number): number[] {
  const x = at % width;
  const y = Math.floor(at / width);
  const found: number[] = [];
  for (const [dx, dy] of [
    [0, -1],
    [-1, 0],
    [1, 0],
    [0, 1],
    [-1, -1],
    [1, -1],
    [-1, 1],
    [1, 1],
  ] as const) {
    const inside = x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height;
    if (inside && values[at + dy * width + dx] === 1) found.push(at + dy * width + dx);
  }
  return found;
}

/** The same flooding with a list that is searched whole each time. */
function bruteForce({ window, levels, seeds }: Scene): number[] {
  const owners = [...seeds].map((seed, at) => (window.values[at] === 1 ? seed : 0));
  const waiting = owners.flatMap((owner, at) => (owner === 0 ? [] : [{ at, level: 0 }]));
  while (waiting.length > 0) {
    const lowest = Math.min(...waiting.map(({ level }) => level));
    const index = waiting.findIndex(({ level }) => level === lowest);
    const [{ at }] = waiting.splice(index, 1) as [{ at: number; level: number }];
    for (const next of neighbours(window, at)) {
      if (owners[next] !== 0) continue;
      owners[next] = owners[at] as number;
      waiting.push({ at: next, level: Math.max(lowest, levels[next] as number) });
    }
  }
  return owners;
}

/** The lowest highest level of any path from a seed, by relaxing until nothing changes. */
function passLevels({ window, levels, seeds }: Scene, seed: number): number[] {
  const pass = [...seeds].map((each, at) =>
    each === seed && window.values[at] === 1 ? 0 : Infinity,
  );
  for (let changed = true; changed;) {
    changed = false;
    for (let at = 0; at < pass.length; at++) {
      // Another seed is no way: its water stands there from the start.
      if (window.values[at] === 0 || seeds[at] !== 0) continue;
      for (const from of neighbours(window, at)) {
        const level = Math.max(pass[from] as number, levels[at] as number);
        if (level >= (pass[at] as number)) continue;
        pass[at] = level;
        changed = true;
      }
    }
  }
  return pass;
}

describe("the watershed", () => {
  it("floods like a queue that is searched whole each time", () => {
    for (let seed = 0; seed < 300; seed++) {
      const scene = randomScene(seed, seed % 2 === 0 ? 4 : 256);
      const { window, levels, seeds } = scene;
      expect([...watershed(window, levels, seeds)]).toEqual(bruteForce(scene));
    }
  });

  it("gives every pixel to a seed that reaches it over the lowest pass", () => {
    for (let seed = 0; seed < 300; seed++) {
      const scene = randomScene(1000 + seed, 8);
      const { window, levels, seeds } = scene;
      const owners = watershed(window, levels, seeds);
      const passes = [1, 2, 3].map((piece) => passLevels(scene, piece));
      owners.forEach((owner, at) => {
        const best = Math.min(...passes.map((pass) => pass[at] as number));
        if (window.values[at] === 0 || best === Infinity) expect(owner).toBe(0);
        else expect(passes[owner - 1]?.[at]).toBe(best);
      });
    }
  });

  it("parts a row at its highest point, and a flat one in the middle", () => {
    const row = { values: new Uint8Array(7).fill(1), width: 7, height: 1 };
    const seeds = Int32Array.from([1, 0, 0, 0, 0, 0, 2]);
    const ridge = Uint8Array.from([0, 1, 2, 3, 9, 1, 0]);
    expect([...watershed(row, ridge, seeds)].join("")).toMatch(/^1111[12]22$/);
    expect([...spread(row, seeds)].join("")).toMatch(/^111[12]222$/);
  });
});
