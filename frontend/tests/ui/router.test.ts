import { describe, expect, it } from "vitest";
import { isAsk, isOurs, parse, paths, safeNext, type DatasetPageName } from "../../src/ui/router";

describe("parse", () => {
  it("reads back every path that it builds", () => {
    const pages: DatasetPageName[] = [
      "dataset",
      "queue",
      "correct",
      "gallery",
      "upload",
      "models",
      "training",
      "export",
      "settings",
    ];
    for (const page of pages) {
      expect(parse(paths.dataset(12, page))).toEqual({ page, datasetId: 12 });
    }
    expect(parse(paths.ask(12))).toEqual({ page: "gallery", datasetId: 12 });
    expect([paths.ask(12), paths.dataset(12, "gallery")].map(isAsk)).toEqual([true, false]);
    expect(parse(paths.image(7))).toEqual({ page: "image", imageId: 7, look: false });
    expect(parse(paths.image(7, true))).toEqual({ page: "image", imageId: 7, look: true });
    for (const asked of [{ cell: 3, prediction: 9 }, { place: { x: 0, y: 4.5 } }]) {
      expect(parse(paths.asked(7, asked))).toMatchObject({ page: "image", imageId: 7, asked });
    }
    expect(parse(paths.datasets())).toEqual({ page: "datasets" });
    expect(parse(paths.signIn("/datasets/3?a=b"))).toEqual({
      page: "sign-in",
      next: "/datasets/3?a=b",
    });
  });
  it.each([
    "cell=1.5&prediction=-2",
    "cell=0&prediction=3",
    "place=1,2,3",
    "place=1,x",
    "place=,1",
  ])("opens the image for no question where the query names none: %s", (query) => {
    expect(parse(`/images/7?${query}`)).toEqual({ page: "image", imageId: 7, look: false });
  });
  it("takes a slash at the end and a query for what they are", () => {
    expect(parse("/datasets/4/models/?x=1")).toEqual({ page: "models", datasetId: 4 });
  });
  it.each([
    "/datasets",
    "/datasets/0",
    "/datasets/-1",
    "/datasets/1e3",
    "/datasets/1/nothing",
    "/datasets/1/constructor",
    "/datasets/1/models/2",
    "/images/",
    "/images/3/edit",
    "/elsewhere/1",
  ])("finds nothing at %s", (path) => {
    expect(parse(path)).toEqual({ page: "not-found" });
  });
});

describe("safeNext", () => {
  it("never leads to another site or round in a circle", () => {
    expect(safeNext("https://evil.example/")).toBe("/");
    expect(safeNext("//evil.example/")).toBe("/");
    expect(safeNext("/\\evil.example")).toBe("/");
    expect(safeNext("/sign-in?next=/sign-in")).toBe("/");
    expect(safeNext(null)).toBe("/");
    expect(safeNext("/datasets/3/models")).toBe("/datasets/3/models");
  });
});

describe("isOurs", () => {
  it("leaves the server's own pages to the browser", () => {
    expect(["/admin/", "/api/v1/docs/", "/static/app/x.js", "//host/x"].map(isOurs)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(isOurs("/datasets/1")).toBe(true);
    expect(isOurs("/administrators")).toBe(true);
  });
});
