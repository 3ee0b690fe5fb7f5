import { expect, it } from "vitest";
import { decodeLabels } from "../../src/api/labels";
import { applySteps } from "../../src/core/history";
import { repaint } from "../../src/core/windows";
import { packLabels } from "../../src/ui/editor/packing";
import { picture } from "../core/drawing";

it("labels are packed once, and anew after each edit", async () => {
  const doc = picture(["11.", ".22"]);
  const first = await packLabels(doc.labels);
  expect(await packLabels(doc.labels)).toBe(first);
  const edited = applySteps(doc, [repaint(doc.labels, doc.labels.box, [1, 1, 0, 0, 0, 3])]);
  const second = await packLabels(edited.labels);
  expect([...(await decodeLabels(second))]).toEqual([1, 1, 0, 0, 0, 3]);
  expect([...(await decodeLabels(first))]).toEqual([1, 1, 0, 0, 2, 2]);
});
