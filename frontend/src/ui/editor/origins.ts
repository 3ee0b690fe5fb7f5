/** In words: why the models say nothing of a cell. */
import { GESTURE, madeBy } from "../../core/origin";
import type { EditorState } from "../../core/state";

const DRAWN = "Drawn by hand; the models have not seen it.";
const UNKNOWN = "The models say nothing of it.";
/** By the gesture that made the cell. */
const SENTENCES: Readonly<Record<string, string>> = {
  [GESTURE.brush]: DRAWN,
  [GESTURE.polygon]: DRAWN,
  [GESTURE.wand]: DRAWN,
  [GESTURE.pick]: "Picked from the segmenter.",
  [GESTURE.thresholds]: "From the segmenter, at changed thresholds.",
  [GESTURE.restore]: "The model's cell, brought back.",
};

export function unseen(state: EditorState, label: number): string {
  const origin = madeBy(state, label);
  if (origin === null) return UNKNOWN;
  if (origin.from !== null) return `Split off from #${origin.from}.`;
  return SENTENCES[origin.gesture] ?? UNKNOWN;
}
