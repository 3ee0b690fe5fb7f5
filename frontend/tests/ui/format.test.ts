import { describe, expect, it } from "vitest";
import {
  ago,
  bytes,
  dateTime,
  duration,
  ordinal,
  percent,
  plural,
  score,
} from "../../src/ui/format";

const NBSP = "\u00a0";

describe("words and numbers", () => {
  it("count one and many", () => {
    expect(plural(1, "image")).toBe("1 image");
    expect(plural(0, "image")).toBe("0 images");
    expect(plural(1204, "cell")).toBe("1,204 cells");
  });
  it("give small shares a decimal and nothing a dash", () => {
    expect(percent(0.635)).toBe(`64${NBSP}%`);
    expect(percent(0.042)).toBe(`4.2${NBSP}%`);
    expect(percent(0.0999)).toBe(`10${NBSP}%`);
    expect(percent(0)).toBe(`0${NBSP}%`);
    expect(percent(null)).toBe("–");
    expect(score(undefined)).toBe("–");
    expect(score(0.81234)).toBe("0.812");
  });
  it("say durations in at most two units", () => {
    expect(duration(39.6)).toBe("40 s");
    expect(duration(200)).toBe("3 min 20 s");
    expect(duration(180)).toBe("3 min");
    expect(duration(1_230)).toBe("20 min");
    expect(duration(7_500)).toBe("2 h 5 min");
    expect(duration(7_200)).toBe("2 h");
    expect(duration(-3)).toBe("0 s");
  });
  it("say how long ago", () => {
    const now = Date.parse("2026-02-03T10:00:00Z");
    const before = (seconds: number) => ago(new Date(now - seconds * 1000).toISOString(), now);
    expect(before(10)).toBe("just now");
    expect(before(50)).toBe("1 min ago");
    expect(before(7_200)).toBe("2 h ago");
    expect(before(86_400 * 40)).toBe("Dec 25, 2025");
    expect(ago(null)).toBe("–");
  });
  it("say moments to the second, and places in a row", () => {
    expect(dateTime(new Date(2026, 10, 28, 8, 5, 6).getTime())).toBe("28 Nov 2026, 08:05:06");
    expect([1, 2, 3, 4, 11, 22, 1003].map(ordinal).join(" ")).toBe(
      "1st 2nd 3rd 4th 11th 22nd 1,003rd",
    );
  });
  it("say sizes of files", () => {
    expect([12, 4_200, 3_260_000, 2_500_000_000].map(bytes)).toEqual([
      "12 B",
      "4 kB",
      "3.3 MB",
      "2.50 GB",
    ]);
  });
});
