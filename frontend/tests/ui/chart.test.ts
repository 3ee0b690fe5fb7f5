import { describe, expect, it } from "vitest";
import {
  abscissae,
  bandPath,
  between,
  extent,
  linear,
  linePath,
  nearest,
  niceDomain,
  readAt,
  tickText,
  ticks,
  valueAt,
} from "../../src/ui/chart";
import { lossSeries, metricSeries, waitingSentence } from "../../src/ui/curves";
import { epoch } from "./rows";

describe("scales", () => {
  it("maps ends to ends, also upside down", () => {
    const y = linear([0, 2], [100, 0]);
    expect([y(0), y(1), y(2)]).toEqual([100, 50, 0]);
  });
  it("puts a single value in the middle instead of dividing by zero", () => {
    expect(linear([3, 3], [0, 10])(3)).toBe(5);
  });
  it("ignores values that are not finite", () => {
    expect(extent([2, NaN, -1, Infinity])).toEqual([-1, 2]);
    expect(extent([NaN])).toBeNull();
  });
});

describe("ticks", () => {
  it("are round, inside the domain and free of binary dust", () => {
    expect(ticks([0, 1], 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks([1, 13], 4)).toEqual([5, 10]);
    expect(ticks([0.12, 0.31], 4)).toEqual([0.15, 0.2, 0.25, 0.3]);
  });
  it("widen the domain to whole steps", () => {
    expect(niceDomain([0.23, 1.87], 4)).toEqual([0, 2]);
    expect(niceDomain([5, 5], 4)).toEqual([2.5, 10]);
    expect(niceDomain([0, 0], 4)).toEqual([0, 1]);
  });
  it("are written with as many decimals as their step needs", () => {
    expect([0, 0.5, 1].map((value) => tickText(value, 0.5))).toEqual(["0.0", "0.5", "1.0"]);
    expect(tickText(0.15, 0.05)).toBe("0.15");
    expect(tickText(200, 100)).toBe("200");
  });
});

describe("linePath", () => {
  it("breaks the line where a value is missing", () => {
    const same = (value: number): number => value;
    const points = [
      [0, 1],
      [1, NaN],
      [2, 3],
      [3, 4],
    ] as const;
    expect(linePath(points, same, same)).toBe("M0.0,1.0M2.0,3.0L3.0,4.0");
  });
});

describe("reading values", () => {
  it("finds the nearest of all x values", () => {
    const series = [
      { name: "a", color: "red", points: [[1, 0] as const, [3, 0] as const] },
      { name: "b", color: "red", points: [[2, 0] as const, [3, 0] as const] },
    ];
    expect(abscissae(series)).toEqual([1, 2, 3]);
    expect(nearest([1, 2, 10], 7)).toBe(2);
    expect(nearest([1, 2, 10], -5)).toBe(0);
    expect(nearest([], 1)).toBe(-1);
  });
  it("of several points at one place shows the newest", () => {
    const points = [
      [100, 0.6],
      [200, 0.7],
      [200, 0.8],
    ] as const;
    expect(valueAt(points, 200)).toBe(0.8);
    expect(valueAt(points, 150)).toBeNull();
  });
  it("stops at what was measured and reads a curve between its points", () => {
    const curve = [[0, 0] as const, [10, 1] as const];
    const series = [
      { name: "curve", color: "red", points: curve, smooth: true, ranges: [[0, 0, 1] as const] },
      { name: "dots", color: "red", points: [[4, 2] as const, [NaN, NaN] as const] },
    ];
    expect(abscissae(series)).toEqual([4]);
    expect([0, 4, 10].map((at) => between(curve, at))).toEqual([0, 0.4, 1]);
    expect([-1, 11].map((at) => between(curve, at))).toEqual([null, null]);
    expect(between([], 1)).toBeNull();
    const dots = { name: "a", color: "red", points: [[4, 2] as const] };
    expect(readAt({ ...dots, ranges: [[4, 1, 3]] }, 4)).toEqual({ value: 2, low: 1, high: 3 });
    expect(readAt(dots, 4)).toEqual({ value: 2, low: null, high: null });
    expect(readAt(dots, 5)).toBeNull();
  });
  it("draws a band there and back", () => {
    const same = (value: number): number => value;
    const ranges = [
      [0, 1, 3],
      [2, 4, 5],
    ] as const;
    expect(bandPath(ranges, same, same)).toBe("M0.0,1.0L2.0,4.0L2.0,5.0L0.0,3.0Z");
    expect(bandPath([], same, same)).toBe("");
  });
});

describe("curves", () => {
  it("draws the validation loss only where it was measured", () => {
    const log = [epoch(1), epoch(2, { validation_loss: 0.7 })];
    expect(lossSeries(log).map(({ points }) => points)).toEqual([
      [
        [1, 1],
        [2, 0.5],
      ],
      [[2, 0.7]],
    ]);
    expect(lossSeries([epoch(1)])).toHaveLength(1);
  });
  it("draws one line per known metric that has values", () => {
    const log = [
      epoch(1, { metrics: { ap50: 0.1, map: null } }),
      epoch(2, { metrics: { ap50: 0.3 } }),
    ];
    expect(metricSeries(log)).toMatchObject([
      {
        name: "AP@0.5",
        points: [
          [1, 0.1],
          [2, 0.3],
        ],
      },
    ]);
  });
  it("says how much of the training was waiting for images, of the epochs that tell it", () => {
    expect(waitingSentence([epoch(1)])).toBe("");
    const log = [epoch(1), epoch(2, { waiting: 0.5 }), epoch(3, { waiting: 0.02, seconds: 6 })];
    expect(waitingSentence(log)).toBe(
      "Waiting for images took 14\u00a0% of the training, 2.0\u00a0% in the last epoch.",
    );
  });
});
