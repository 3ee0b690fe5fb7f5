/** Which tiles of a list are selected, as in a file manager. Immutable; no DOM. */

export interface Selection {
  /** Places in the list. */
  readonly chosen: ReadonlySet<number>;
  /** Where the keyboard is. */
  readonly focus: number;
  /** Where a range that Shift draws begins. */
  readonly anchor: number;
}

export type Manner = "alone" | "toggle" | "range" | "more";

export const NOTHING: Selection = { chosen: new Set(), focus: 0, anchor: 0 };

/**
 * A tile was pressed: alone; with Ctrl it is added or taken out; with Shift all from the anchor to
 * it are selected, with both in addition to the others.
 */
export function pressed(selection: Selection, at: number, manner: Manner): Selection {
  const { anchor, chosen } = selection;
  switch (manner) {
    case "alone":
      return { chosen: new Set([at]), focus: at, anchor: at };
    case "toggle": {
      const others = new Set(chosen);
      if (!others.delete(at)) others.add(at);
      return { chosen: others, focus: at, anchor: at };
    }
    case "range":
      return { chosen: new Set(between(anchor, at)), focus: at, anchor };
    case "more":
      return { chosen: new Set([...chosen, ...between(anchor, at)]), focus: at, anchor };
  }
}

/** The keyboard went to a tile: nothing is selected but it is what keys act on. */
export function focused(selection: Selection, at: number, manner: Manner = "alone"): Selection {
  if (manner === "alone") return { chosen: new Set(), focus: at, anchor: at };
  if (manner === "toggle") return { ...selection, focus: at };
  return pressed(selection, at, manner);
}

/** A rubber band lies over `tiles`; `before` was selected when it was begun with Shift or Ctrl. */
export function banded(
  selection: Selection,
  tiles: readonly number[],
  before: ReadonlySet<number>,
): Selection {
  const focus = tiles.at(-1) ?? selection.focus;
  return { chosen: new Set([...before, ...tiles]), focus, anchor: tiles[0] ?? selection.anchor };
}

export function everything(selection: Selection, count: number): Selection {
  return { ...selection, chosen: new Set(Array.from({ length: count }, (_, at) => at)) };
}

export function nothing(selection: Selection): Selection {
  return { ...selection, chosen: new Set() };
}

/** What a key acts on: the selected tiles in the order of the list, else the one in focus. */
export function targets({ chosen, focus }: Selection, count: number): number[] {
  if (chosen.size > 0) return [...chosen].sort((a, b) => a - b);
  return focus < count ? [focus] : [];
}

/**
 * After the list was read again: `places` says where its tiles are now. What is gone is selected no
 * longer; the keyboard stays at its place, as far as there is one.
 */
export function carried(
  { chosen, focus, anchor }: Selection,
  places: ReadonlyMap<number, number>,
  count: number,
): Selection {
  const last = Math.max(0, count - 1);
  return {
    chosen: new Set([...chosen].flatMap((at) => places.get(at) ?? [])),
    focus: places.get(focus) ?? Math.min(focus, last),
    anchor: places.get(anchor) ?? Math.min(anchor, last),
  };
}

export function mannerOf(event: {
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
}): Manner {
  const ctrl = event.ctrlKey || event.metaKey;
  if (event.shiftKey) return ctrl ? "more" : "range";
  return ctrl ? "toggle" : "alone";
}

function between(a: number, b: number): number[] {
  const from = Math.min(a, b);
  return Array.from({ length: Math.abs(a - b) + 1 }, (_, step) => from + step);
}
