/**
 * Edits kept to a region. What lies in it may change as ever, and the cells that reach into it as
 * wholes: a cell cut off at a frame would be a wrong cell. Every other cell, and the background
 * away from such cells, stays as it is.
 */
import type { MaskDocument } from "./document";
import { holds, intersect, type Box } from "./geometry";
import { FIELDS, RunBuilder } from "./runs";
import { CellsStep, PaintStep, type Step } from "./steps";

export interface Confined {
  readonly steps: readonly Step[];
  /** Something was left out, and nothing that shows remains. */
  readonly refused: boolean;
}

/** Has a cell pixels in a region? */
export function reaches({ geometry, labels }: MaskDocument, label: number, region: Box): boolean {
  const box = geometry.get(label)?.box;
  const common = box === undefined ? null : intersect(box, region);
  if (box === undefined || common === null) return false;
  return holds(region, box) || labels.read(common).includes(label);
}

/** The cells with pixels in a box. */
export function cellsIn(doc: MaskDocument, box: Box): ReadonlySet<number> {
  const common = intersect(box, doc.labels.box);
  const found = new Set(common === null ? [] : doc.labels.read(common));
  found.delete(0);
  return found;
}

/** What of an edit's steps a region allows. */
export function confined(doc: MaskDocument, steps: readonly Step[], region: Box): Confined {
  const rule = new Confinement(doc, steps, region);
  const kept: Step[] = [];
  let now = doc;
  for (const step of steps) {
    const allowed = rule.allowed(step, now);
    if (allowed === null) continue;
    kept.push(allowed);
    if (steps.length > 1) now = allowed.apply(now);
  }
  const shows = kept.some((step) => !isNewEntry(step, doc));
  return { steps: kept, refused: rule.heldBack && !shows };
}

/** Only enters cells that have no pixels yet, before they are painted. */
function isNewEntry(step: Step, { geometry }: MaskDocument): boolean {
  if (!(step instanceof CellsStep)) return false;
  return step.changes.every(({ label }) => geometry.get(label) === undefined);
}

class Confinement {
  heldBack = false;
  /** Cells that the edit paints in the region. */
  private readonly entering = new Set<number>();
  /** Cells outside that become parts of cells of the region as wholes. */
  private readonly absorbed: ReadonlySet<number>;
  private readonly known = new Map<number, boolean>();

  constructor(
    private readonly doc: MaskDocument,
    steps: readonly Step[],
    private readonly region: Box,
  ) {
    const runs = steps.flatMap((step) => (step instanceof PaintStep ? [...runsOf(step)] : []));
    for (const run of runs) if (this.within(run) !== null) this.entering.add(run.after);
    this.absorbed = this.absorbedBy(runs);
  }

  /** The step as far as it may be taken; null: not at all. `now` has the steps before it. */
  allowed(step: Step, now: MaskDocument): Step | null {
    if (step instanceof PaintStep) return this.painted(step, now);
    if (!(step instanceof CellsStep)) return step;
    const changes = step.changes.filter(
      ({ label }) => !this.isOld(label) || this.isOurs(label) || this.absorbed.has(label),
    );
    if (changes.length < step.changes.length) this.heldBack = true;
    return changes.length === 0 ? null : new CellsStep(changes);
  }

  private painted(step: PaintStep, now: MaskDocument): PaintStep | null {
    const builder = new RunBuilder(step.width);
    for (const run of runsOf(step)) {
      const { x0, x1 } = this.within(run) ?? { x0: run.x1, x1: run.x1 };
      const outside = this.mayOutside(run);
      if (!outside && (run.x0 < x0 || x1 < run.x1)) this.heldBack = true;
      if (outside) addWhereStill(builder, now, { ...run, x1: x0 });
      addWhereStill(builder, now, { ...run, x0, x1 });
      if (outside) addWhereStill(builder, now, { ...run, x0: x1 });
    }
    const allowed = new PaintStep(step.width, builder.finish());
    return allowed.isEmpty ? null : allowed;
  }

  private mayOutside({ before, after }: Run): boolean {
    if (before === 0) return this.isOurs(after);
    if (after !== 0 && this.isOld(after) && !this.isOurs(after)) return false;
    // What has no pixels before the edit got them by its earlier steps.
    return !this.isOld(before) || this.isOurs(before) || this.absorbed.has(before);
  }

  private absorbedBy(runs: readonly Run[]): ReadonlySet<number> {
    const taken = new Map<number, number>();
    for (const { before, after, x0, x1 } of runs) {
      if (before === 0 || after === 0 || !this.isOurs(after)) continue;
      taken.set(before, (taken.get(before) ?? 0) + x1 - x0);
    }
    const whole = [...taken].filter(
      ([label, area]) => this.doc.geometry.get(label)?.area === area && !this.isOurs(label),
    );
    return new Set(whole.map(([label]) => label));
  }

  private isOld(label: number): boolean {
    return this.doc.geometry.get(label) !== undefined;
  }

  private isOurs(label: number): boolean {
    let ours = this.known.get(label);
    if (ours === undefined) {
      ours = this.entering.has(label) || reaches(this.doc, label, this.region);
      this.known.set(label, ours);
    }
    return ours;
  }

  /** The part of a run that lies in the region. */
  private within({ y, x0, x1 }: Run): { x0: number; x1: number } | null {
    return intersect({ x0, x1, y0: y, y1: y + 1 }, this.region);
  }
}

interface Run {
  readonly y: number;
  readonly x0: number;
  readonly x1: number;
  readonly before: number;
  readonly after: number;
}

function* runsOf({ runs, width }: PaintStep): Generator<Run> {
  for (let at = 0; at < runs.length; at += FIELDS) {
    const start = runs[at] as number;
    const y = Math.floor(start / width);
    const x0 = start - y * width;
    const x1 = x0 + (runs[at + 1] as number);
    yield { y, x0, x1, before: runs[at + 2] as number, after: runs[at + 3] as number };
  }
}

/** A step that builds on one that was cut finds some pixels as they were: those stay. */
function addWhereStill(
  builder: RunBuilder,
  { labels }: MaskDocument,
  { y, x0, x1, before, after }: Run,
): void {
  let x = x0;
  while (x < x1) {
    const start = x;
    while (x < x1 && labels.at(x, y) === before) x++;
    builder.add(y * labels.width + start, x - start, before, after);
    while (x < x1 && labels.at(x, y) !== before) x++;
  }
}
