/** Where a cell that no model has an opinion of comes from: the gesture that made it. */
import type { EditorState } from "./state";
import { FIELDS } from "./runs";
import { CellsStep, PaintStep, type Step } from "./steps";

/** Names of gestures by which cells are told apart. */
export const GESTURE = {
  brush: "Brush",
  polygon: "Polygon",
  wand: "Wand",
  split: "Split",
  separate: "Separate pieces",
  pick: "Pick cell",
  thresholds: "Other thresholds",
  restore: "Restore the model's cell",
} as const;

export interface Origin {
  /** The name of the gesture. */
  readonly gesture: string;
  /** The cell it was cut off from; null where it was none. */
  readonly from: number | null;
}

/** Null where the cell was there before the first gesture that is known. */
export function madeBy({ history }: Pick<EditorState, "history">, label: number): Origin | null {
  const made = history.done.findLast(({ steps }) => steps.some((step) => brings(step, label)));
  if (made === undefined) return null;
  return { gesture: made.name, from: isDivision(made.name) ? cutFrom(made.steps, label) : null };
}

/** Is what the last gesture cut apart what is selected, by nobody's choice? */
export function justDivided({ history, selection }: EditorState): boolean {
  const last = history.done.at(-1);
  return last !== undefined && isDivision(last.name) && last.selectionAfter === selection;
}

function isDivision(name: string): boolean {
  return name === GESTURE.split || name === GESTURE.separate;
}

function brings(step: Step, label: number): boolean {
  return (
    step instanceof CellsStep &&
    step.changes.some((change) => change.label === label && change.before === null)
  );
}

function cutFrom(steps: readonly Step[], label: number): number | null {
  for (const step of steps) {
    if (!(step instanceof PaintStep)) continue;
    for (let at = 0; at < step.runs.length; at += FIELDS) {
      if (step.runs[at + 3] === label) return step.runs[at + 2] as number;
    }
  }
  return null;
}
