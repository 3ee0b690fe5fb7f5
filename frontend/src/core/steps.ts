/**
 * Steps change a document and nothing else does. A step applies, inverts, merges with the step
 * after it and serializes; undo applies inverted steps.
 */
import { sameRegions, type CellMeta, type MaskDocument, type TypeSource } from "./document";
import { remeasure } from "./remeasure";
import { composeRuns, FIELDS, invertRuns, type Runs } from "./runs";

export type StepJson =
  | { readonly kind: "paint"; readonly width: number; readonly runs: readonly number[] }
  | { readonly kind: "cells"; readonly changes: readonly MetaChange[] }
  | { readonly kind: "regions"; readonly before: Regions; readonly after: Regions };

type Regions = MaskDocument["regions"];

export interface MetaChange {
  readonly label: number;
  readonly before: CellMeta | null;
  readonly after: CellMeta | null;
}

export interface Step {
  apply(doc: MaskDocument): MaskDocument;
  invert(): Step;
  /** One step that does what this and then `next` do, or null when they do not join. */
  merge(next: Step): Step | null;
  /** Labels whose pixels change, background left out. */
  touched(): Set<number>;
  /** Memory held, in bytes. */
  readonly bytes: number;
  toJson(): StepJson;
}

/** Pixels get other labels. */
export class PaintStep implements Step {
  constructor(
    readonly width: number,
    readonly runs: Runs,
  ) {}

  get bytes(): number {
    return this.runs.byteLength;
  }

  get isEmpty(): boolean {
    return this.runs.length === 0;
  }

  apply(doc: MaskDocument): MaskDocument {
    const draft = doc.labels.draft();
    let highest = doc.highest;
    for (let at = 0; at < this.runs.length; at += FIELDS) {
      const start = this.runs[at] as number;
      const after = this.runs[at + 3] as number;
      const y = Math.floor(start / this.width);
      const x = start - y * this.width;
      draft.set(y, x, x + (this.runs[at + 1] as number), after);
      if (after > highest) highest = after;
    }
    const labels = draft.finish();
    const geometry = remeasure(doc.geometry, labels, this.runs);
    return { ...doc, labels, geometry, highest };
  }

  invert(): PaintStep {
    return new PaintStep(this.width, invertRuns(this.runs));
  }

  merge(next: Step): PaintStep | null {
    if (!(next instanceof PaintStep) || next.width !== this.width) return null;
    return new PaintStep(this.width, composeRuns(this.runs, next.runs, this.width));
  }

  touched(): Set<number> {
    const labels = new Set<number>();
    for (let at = 0; at < this.runs.length; at += FIELDS) {
      labels.add(this.runs[at + 2] as number);
      labels.add(this.runs[at + 3] as number);
    }
    labels.delete(0);
    return labels;
  }

  toJson(): StepJson {
    return { kind: "paint", width: this.width, runs: [...this.runs] };
  }
}

/** Cells appear in, change in or leave the table of types. */
export class CellsStep implements Step {
  constructor(readonly changes: readonly MetaChange[]) {}

  get bytes(): number {
    return this.changes.length * 64;
  }

  get isEmpty(): boolean {
    return this.changes.length === 0;
  }

  apply(doc: MaskDocument): MaskDocument {
    const meta = doc.meta.with(
      this.changes.map(({ label, after }): [number, CellMeta | undefined] => [
        label,
        after ?? undefined,
      ]),
    );
    const highest = this.changes.reduce((top, { label }) => Math.max(top, label), doc.highest);
    return { ...doc, meta, highest };
  }

  invert(): CellsStep {
    return new CellsStep(
      this.changes.map(({ label, before, after }) => ({ label, before: after, after: before })),
    );
  }

  merge(next: Step): CellsStep | null {
    if (!(next instanceof CellsStep)) return null;
    const changes = new Map(this.changes.map((change) => [change.label, change]));
    for (const change of next.changes) {
      const earlier = changes.get(change.label);
      const before = earlier === undefined ? change.before : earlier.before;
      if (sameMeta(before, change.after)) changes.delete(change.label);
      else changes.set(change.label, { ...change, before });
    }
    return new CellsStep([...changes.values()]);
  }

  touched(): Set<number> {
    return new Set();
  }

  toJson(): StepJson {
    return { kind: "cells", changes: this.changes };
  }
}

/** Other regions are complete. */
export class RegionsStep implements Step {
  constructor(
    readonly before: Regions,
    readonly after: Regions,
  ) {}

  get bytes(): number {
    return this.isEmpty ? 0 : 32 * (1 + (this.before?.length ?? 0) + (this.after?.length ?? 0));
  }

  get isEmpty(): boolean {
    return sameRegions(this.before, this.after);
  }

  apply(doc: MaskDocument): MaskDocument {
    return { ...doc, regions: this.after };
  }

  invert(): RegionsStep {
    return new RegionsStep(this.after, this.before);
  }

  merge(next: Step): RegionsStep | null {
    return next instanceof RegionsStep ? new RegionsStep(this.before, next.after) : null;
  }

  touched(): Set<number> {
    return new Set();
  }

  toJson(): StepJson {
    return { kind: "regions", before: this.before, after: this.after };
  }
}

/** The same type from the same source? */
export function sameMeta(a: CellMeta | null, b: CellMeta | null): boolean {
  return a === b || (a !== null && b !== null && a.type === b.type && a.source === b.source);
}

export function stepFromJson(json: StepJson): Step {
  switch (json.kind) {
    case "paint":
      return new PaintStep(json.width, Uint32Array.from(json.runs));
    case "cells":
      return new CellsStep(json.changes);
    case "regions":
      return new RegionsStep(json.before, json.after);
  }
}

/** The step that gives cells a type; cells that have it from the same source are left out. */
export function typeStep(
  doc: MaskDocument,
  labels: Iterable<number>,
  meta: { type: string | null; source: TypeSource },
): CellsStep {
  const after: CellMeta = { type: meta.type, source: meta.type === null ? "" : meta.source };
  const changes: MetaChange[] = [];
  for (const label of labels) {
    const before = doc.meta.get(label) ?? null;
    if (!sameMeta(before, after)) changes.push({ label, before, after });
  }
  return new CellsStep(changes);
}

/**
 * Join the steps of one gesture into one per kind. Kinds change disjoint parts of the document,
 * so their order among each other is free. Pairwise, level by level: a stroke of a thousand
 * samples is merged in ten passes, not in a thousand.
 */
export function mergeSteps(steps: readonly Step[]): Step[] {
  const kinds = new Map<unknown, Step[]>();
  for (const step of steps) {
    const kind = kinds.get(step.constructor);
    if (kind === undefined) kinds.set(step.constructor, [step]);
    else kind.push(step);
  }
  return [...kinds.values()].flatMap(mergeAlike);
}

function mergeAlike(steps: Step[]): Step[] {
  if (steps.length < 2) return steps;
  const half = Math.ceil(steps.length / 2);
  const [first] = mergeAlike(steps.slice(0, half));
  const [second] = mergeAlike(steps.slice(half));
  const joined = first && second ? first.merge(second) : null;
  return joined === null ? steps : [joined];
}
