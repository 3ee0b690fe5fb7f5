import { describe, expect, it } from "vitest";
import { compare } from "../../src/ui/metrics";
import { evaluation, version } from "./rows";

describe("compare", () => {
  const old = evaluation("old", "2026-01-01T00:00:00Z", { ap50: 0.99 });

  it("compares on the newest frozen test set and marks what was measured on another", () => {
    const fresh = (ap50: number) => evaluation("new", "2026-02-01T00:00:00Z", { ap50 });
    const { rows, images, best } = compare([
      version(3, [fresh(0.7)]),
      version(2, [old, fresh(0.8)]),
      version(1, [old]),
    ]);
    expect(rows.map(({ evaluation: shown }) => shown?.metrics.ap50)).toEqual([0.7, 0.8, 0.99]);
    expect(rows.map(({ stale }) => stale)).toEqual([false, false, true]);
    expect(images).toBe(12);
    // 0.99 was reached on other images: it beats nobody here.
    expect(best.ap50).toBe(0.8);
  });
  it("calls the smaller count error the better one", () => {
    const at = "2026-02-01T00:00:00Z";
    const { best } = compare([
      version(2, [evaluation("h", at, { count_error: 0.1 })]),
      version(1, [evaluation("h", at, { count_error: 0.3 })]),
    ]);
    expect(best.count_error).toBe(0.1);
  });
  it("calls the gap nearest to zero the best one, on either side of it", () => {
    const at = "2026-02-01T00:00:00Z";
    const gaps = (...values: number[]) =>
      compare(
        values.map((mono_mixed_gap, index) =>
          version(index, [evaluation("h", at, { mono_mixed_gap })]),
        ),
      ).best.mono_mixed_gap;
    expect([gaps(-0.3, 0.05, 0.1), gaps(0.2, -0.02), gaps(0.1, 0)]).toEqual([0.05, -0.02, 0]);
  });
  it("crowns nobody who stands alone", () => {
    expect(compare([version(1, [old])]).best).toEqual({});
  });
  it("shows only columns with values and takes no other split for the test split", () => {
    const validation = {
      ...evaluation("h", "2026-03-01T00:00:00Z", { pq: 1 }),
      split: "validation",
    };
    const { columns, rows } = compare([version(1, [{ ...validation, split: "validation" }, old])]);
    expect(columns.map(({ key }) => key)).toEqual(["ap50"]);
    expect(rows[0]?.evaluation).toBe(old);
  });
  it("shows the types' mean F1 beside their accuracy", () => {
    const at = "2026-02-01T00:00:00Z";
    const metrics = { ap50: 0.9, type_accuracy: 0.95, macro_f1: 0.7, count_error: 0.1 };
    const { columns } = compare([version(1, [evaluation("h", at, metrics)])]);
    expect(columns.map(({ name }) => name)).toEqual([
      "AP@0.5",
      "Type acc.",
      "Macro F1",
      "Count error",
    ]);
  });
  it("has room for versions that were never evaluated", () => {
    const { rows, images } = compare([version(1, [])]);
    expect(rows).toMatchObject([{ evaluation: null, stale: false }]);
    expect(images).toBeNull();
  });
});
