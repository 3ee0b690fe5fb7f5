/** The model's version of cells, copied back into the document. */
import { UNTYPED, type CellMeta, type MaskDocument } from "./document";
import { unite } from "./geometry";
import type { Mode } from "./paint";
import { CellsStep, type Step } from "./steps";
import { repaint } from "./windows";

/** Cells of the document that stand for one instance of the model. */
interface Claim {
  readonly instance: number;
  /** The one that overlaps it most; it becomes the instance. */
  readonly label: number;
  readonly claimants: ReadonlySet<number>;
}

/**
 * Each cell becomes the model's instance that it overlaps most; cells that stand for the same
 * instance become one. Others keep their pixels in protect mode. A cell keeps its type; one
 * without gets the model's.
 */
export function asModelled(
  doc: MaskDocument,
  model: MaskDocument,
  cells: Iterable<number>,
  mode: Mode,
): Step[] {
  const steps: Step[] = [];
  let now = doc;
  for (const claim of claimsOf(doc, model, cells)) {
    for (const step of fulfil(now, model, claim, mode)) {
      steps.push(step);
      now = step.apply(now);
    }
  }
  return steps;
}

function claimsOf(doc: MaskDocument, model: MaskDocument, cells: Iterable<number>): Claim[] {
  const byInstance = new Map<number, { label: number; overlap: number }[]>();
  for (const label of [...cells].sort((a, b) => a - b)) {
    const found = mostOverlapped(doc, model, label);
    if (found === null) continue;
    const claimant = { label, overlap: found.overlap };
    byInstance.set(found.instance, [...(byInstance.get(found.instance) ?? []), claimant]);
  }
  return [...byInstance].map(([instance, claimants]) => ({
    instance,
    label: claimants.reduce((best, each) => (each.overlap > best.overlap ? each : best)).label,
    claimants: new Set(claimants.map(({ label }) => label)),
  }));
}

/** The model's instance with the most pixels under a cell, the lowest of equals. */
function mostOverlapped(
  doc: MaskDocument,
  model: MaskDocument,
  label: number,
): { instance: number; overlap: number } | null {
  const box = doc.geometry.get(label)?.box;
  if (box === undefined) return null;
  const ours = doc.labels.read(box);
  const counts = new Map<number, number>();
  model.labels.read(box).forEach((instance, at) => {
    if (instance !== 0 && ours[at] === label) counts.set(instance, (counts.get(instance) ?? 0) + 1);
  });
  const ranked = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const [best] = ranked;
  return best === undefined ? null : { instance: best[0], overlap: best[1] };
}

function fulfil(
  doc: MaskDocument,
  model: MaskDocument,
  { instance, label, claimants }: Claim,
  mode: Mode,
): Step[] {
  const target = model.geometry.get(instance);
  if (target === undefined) return [];
  const boxes = [...claimants].map((claimant) => doc.geometry.get(claimant)?.box);
  const box = boxes.reduce<typeof target.box>(
    (all, each) => (each === undefined ? all : unite(all, each)),
    target.box,
  );
  const theirs = model.labels.read(box);
  const after = doc.labels.read(box).map((present, at) => {
    const free = present === 0 || mode === "overwrite" || claimants.has(present);
    if (theirs[at] === instance) return free ? label : present;
    return claimants.has(present) ? 0 : present;
  });
  const paint = repaint(doc.labels, box, after);
  const typing = typed(doc, label, model.meta.get(instance));
  return [typing, paint].filter((step) => !step.isEmpty);
}

function typed(doc: MaskDocument, label: number, meta: CellMeta = UNTYPED): CellsStep {
  const before = doc.meta.get(label) ?? null;
  const kept = before !== null && before.type !== null;
  return new CellsStep(kept || meta.type === null ? [] : [{ label, before, after: meta }]);
}
