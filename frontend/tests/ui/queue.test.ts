import { describe, expect, it } from "vitest";
import {
  expected,
  filterOf,
  isFiltered,
  NO_FILTER,
  reasonName,
  reasonNumber,
  searchOf,
} from "../../src/ui/queue";

describe("reasons in words and numbers", () => {
  it("have a name, also when the page does not know them", () => {
    expect(reasonName("border")).toBe("Border");
    expect(reasonName("rare_type")).toBe("Rare type");
  });

  it("give their number once", () => {
    const reason = (value: number | null, text = "why") => ({ code: "x", text, value });
    expect(reasonNumber(reason(12, "the border of 12 cells"))).toBeNull();
    expect(reasonNumber(reason(12, "the border of 120 cells"))).toBe("12");
    expect(reasonNumber(reason(1200))).toBe("1,200");
    expect(reasonNumber(reason(0.834, "overall"))).toBe("83\u00a0%");
    expect(reasonNumber(reason(2.5))).toBe("2.50");
    expect(reasonNumber(reason(null))).toBeNull();
  });
});

it("expected times are said no finer than they are known", () => {
  expect(expected(null)).toBeNull();
  expect(expected(0.01)).toBe("about 10 s");
  expect(expected(1.3)).toBe("about 1 min 20 s");
  expect(expected(3.6)).toBe("about 4 min");
});

describe("filters in the address", () => {
  it("are read back as they were written", () => {
    const filter = {
      reasons: ["border", "detector_only"],
      split: "test",
      culture: "HEK 293",
      sort: "minutes",
    } as const;
    expect(filterOf(searchOf(filter))).toEqual(filter);
    expect(searchOf(NO_FILTER)).toBe("");
    expect(filterOf("")).toEqual(NO_FILTER);
    expect([isFiltered(filter), isFiltered({ ...NO_FILTER, sort: "minutes" })]).toEqual([
      true,
      false,
    ]);
  });

  it("that make no sense are left out", () => {
    expect(filterOf("?reason=%22&reason=type&sort=constructor")).toEqual({
      ...NO_FILTER,
      reasons: ["type"],
    });
  });
});
