import { describe, expect, it } from "vitest";
import { cellOf, cellsOf, measure, type MaskDocument } from "../../src/core/document";
import { applySteps, invertSteps } from "../../src/core/history";
import { background, boxSpans, paintSpans } from "../../src/core/paint";
import { mergeSteps, stepFromJson, typeStep, type Step } from "../../src/core/steps";
import { chance, gridOfCells, picture, randomStroke, rowsOf } from "./drawing";

describe("a step", () => {
  it("undone restores every pixel, area and box, for thousands of random edits", () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = chance(seed);
      const start = gridOfCells(90, 3);
      let doc = start;
      const steps: Step[] = [];
      for (let edit = 0; edit < 50; edit++) {
        const step =
          random() < 0.2
            ? typeStep(doc, [1 + (edit % 9)], someMeta(random))
            : randomStroke(doc, random);
        steps.push(step);
        doc = step.apply(doc);
      }
      const back = applySteps(doc, invertSteps(steps));
      expect(sameLabels(back, start)).toBe(true);
      expect([...cellsOf(back)]).toEqual([...cellsOf(start)]);
    }
  });

  it("keeps areas and boxes equal to measuring the whole image anew", () => {
    const random = chance(99);
    let doc = gridOfCells(150, 4);
    for (let edit = 0; edit < 200; edit++) {
      doc = randomStroke(doc, random).apply(doc);
      if (edit % 10 !== 0) continue;
      expect([...doc.geometry.entries()]).toEqual([...measure(doc.labels.flat(), 150).entries()]);
    }
  });

  it("merged with those after it does the same in one go", () => {
    const random = chance(5);
    const start = gridOfCells(80, 3);
    let doc = start;
    const steps: Step[] = [];
    for (let edit = 0; edit < 120; edit++) {
      const step = randomStroke(doc, random);
      steps.push(step);
      doc = step.apply(doc);
    }
    const merged = mergeSteps(steps);
    expect(merged).toHaveLength(1);
    expect(applySteps(start, merged).labels.flat()).toEqual(doc.labels.flat());
    expect(applySteps(doc, invertSteps(merged)).labels.flat()).toEqual(start.labels.flat());
  });

  it("that is undone within its gesture merges to nothing", () => {
    const doc = gridOfCells(80, 3);
    const step = randomStroke(doc, chance(3));
    expect(step.isEmpty).toBe(false);
    expect(step.merge(step.invert())?.isEmpty).toBe(true);
  });

  it("survives being written down and read again", () => {
    const doc = gridOfCells(80, 3);
    const paint = randomStroke(doc, chance(11));
    const typing = typeStep(doc, [1, 2], { type: "N2a", source: "human" });
    for (const step of [paint, typing]) {
      const copy = stepFromJson(JSON.parse(JSON.stringify(step.toJson())));
      expect(copy.apply(doc).labels.flat()).toEqual(step.apply(doc).labels.flat());
      expect([...cellsOf(copy.apply(doc))]).toEqual([...cellsOf(step.apply(doc))]);
    }
  });

  it("leaves the document it was applied to as it was", () => {
    const doc = picture(["11.", "1..", "..2"]);
    const before = rowsOf(doc);
    paintSpans(doc.labels, boxSpans(doc.labels.box), 3, background).apply(doc);
    expect(rowsOf(doc)).toEqual(before);
  });

  it("that erases a cell whole keeps its type for undo, but shows no cell", () => {
    const doc = picture(["11.", "1.."], [[1, { type: "HEK", source: "human" }]]);
    const step = paintSpans(doc.labels, boxSpans(doc.labels.box), 0, () => true);
    const erased = step.apply(doc);
    expect([...cellsOf(erased)]).toEqual([]);
    expect(cellOf(step.invert().apply(erased), 1)).toMatchObject({ type: "HEK", area: 3 });
  });
});

function sameLabels(a: MaskDocument, b: MaskDocument): boolean {
  return (
    Buffer.compare(Buffer.from(a.labels.flat().buffer), Buffer.from(b.labels.flat().buffer)) === 0
  );
}

function someMeta(random: () => number): { type: string | null; source: "human" } {
  return { type: random() < 0.5 ? "HEK" : null, source: "human" };
}

describe("memory", () => {
  it("of a stroke grows with its rows, not with the image", () => {
    const doc = gridOfCells(1024, 10);
    const step = randomStroke(doc, chance(2));
    // At most a few runs of 16 bytes per row of the stroke; a copy of the image is 4 MB.
    expect(step.bytes).toBeLessThan(1024 * 16 * 12);
    expect(step.bytes).toBeGreaterThan(0);
  });

  it("is shared between versions: an edit copies the touched tiles only", () => {
    const doc = gridOfCells(1024, 10);
    const span = [{ y: 100, x0: 100, x1: 110 }];
    const edited = paintSpans(doc.labels, span, 7, () => true).apply(doc);
    expect(edited.labels.changedSince(doc.labels)).toEqual([{ x0: 64, y0: 64, x1: 128, y1: 128 }]);
  });
});
