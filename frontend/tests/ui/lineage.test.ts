import { describe, expect, it } from "vitest";
import type { ModelVersion } from "../../src/api/types";
import { lineage } from "../../src/ui/lineage";
import { evaluation, version } from "./rows";

const from = (number: number, start: string): ModelVersion => ({ ...version(number, []), start });

describe("where versions come from", () => {
  it("a version that goes on with another stays in its lane, one that begins anew gets its own", () => {
    const nodes = lineage([
      from(3, "segmenter-1"),
      from(1, "scratch"),
      from(2, "scratch"),
      from(4, "segmenter-3"),
    ]);
    expect(nodes.map(({ version: { number }, column, lane }) => [number, column, lane])).toEqual([
      [1, 0, 0],
      [2, 1, 1],
      [3, 2, 0],
      [4, 3, 0],
    ]);
    expect(nodes.map(({ from: parent }) => parent?.version.number ?? null)).toEqual([
      null,
      null,
      1,
      3,
    ]);
  });

  it("two that go on with the same one part ways", () => {
    const nodes = lineage([
      from(1, "imported"),
      from(2, "segmenter-1"),
      from(3, "segmenter-1"),
      from(4, "segmenter-3"),
    ]);
    expect(nodes.map(({ lane }) => lane)).toEqual([0, 0, 1, 1]);
    expect(nodes[2]?.from?.version.number).toBe(1);
  });

  it("precision is shown of the newest frozen test images alone", () => {
    const old = version(1, [evaluation("old", "2026-01-01", { ap50: 0.5 })]);
    const both = version(2, [
      evaluation("old", "2026-01-01", { ap50: 0.6 }),
      evaluation("new", "2026-01-02", { ap50: 0.7 }),
    ]);
    expect(lineage([both, old]).map(({ ap50 }) => ap50)).toEqual([null, 0.7]);
  });
});
