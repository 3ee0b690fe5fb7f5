/** What the keys of the gallery do; they are the editor's where it has the same. */

export interface KeyRow {
  readonly keys: string;
  readonly name: string;
}

export const CELL_KEYS: readonly KeyRow[] = [
  { keys: "1 … 9", name: "Give the type" },
  { keys: "0", name: "No type" },
  { keys: "Enter", name: "Accept: it is a cell, and well drawn" },
  { keys: "X  Del", name: "Reject: there is no cell" },
  { keys: "U", name: "Undo" },
  { keys: "Z", name: "Outlines on and off" },
  { keys: "E", name: "Open the image in the editor, in a new tab" },
];

export const LIST_KEYS: readonly KeyRow[] = [
  { keys: "← ↑ → ↓", name: "To the next cell; with Shift: select up to it" },
  { keys: "Space", name: "Select the cell, or not" },
  { keys: "Ctrl+A  Esc", name: "Select all; none" },
  { keys: "PgUp PgDn", name: "A screen further" },
  { keys: "Home End", name: "To the first, the last cell" },
  { keys: "N", name: "Those most like this cell first; Esc: back" },
];

export const ASKED_KEYS: readonly KeyRow[] = [
  { keys: "← →", name: "To another cell of these" },
  { keys: "S", name: "Skip: leave it to somebody else" },
  { keys: "Esc", name: "Back to all cells" },
];

export type Action =
  | { readonly kind: "accept" | "reject" | "undo" | "outlines" | "open" | "help" }
  | { readonly kind: "type"; readonly index: number };

const ACTIONS: Readonly<Record<string, Action>> = {
  enter: { kind: "accept" },
  x: { kind: "reject" },
  delete: { kind: "reject" },
  u: { kind: "undo" },
  z: { kind: "outlines" },
  e: { kind: "open" },
  "?": { kind: "help" },
};

type Press = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey" | "repeat">;

/**
 * What a key does in the gallery and in what one is asked; null: nothing. Type 0 is none. A key
 * that is held acts once: nobody has looked at the cells that it would go through.
 */
export function actionOf(press: Press): Action | null {
  const { key, ctrlKey, metaKey, altKey, shiftKey, repeat } = press;
  const name = key.toLowerCase();
  if (altKey || repeat) return null;
  // With Shift it is redo elsewhere, which there is not here.
  if (ctrlKey || metaKey) return name === "z" && !shiftKey ? { kind: "undo" } : null;
  if (/^\d$/.test(key)) return { kind: "type", index: Number(key) };
  return Object.hasOwn(ACTIONS, name) ? (ACTIONS[name] ?? null) : null;
}

/** A key alone, in lower case; "" where it is held, or Ctrl, Meta or Alt makes it the browser's. */
export function bareKey({ key, ctrlKey, metaKey, altKey, repeat }: Press): string {
  return ctrlKey || metaKey || altKey || repeat ? "" : key.toLowerCase();
}

/** Is a key meant for what has the focus, say a text field, and not for the cells? */
export function isElsewhere({ target, key }: Pick<KeyboardEvent, "target" | "key">): boolean {
  if (!(target instanceof Element)) return false;
  if (target.closest("input, select, textarea, dialog") !== null) return true;
  return target.closest("button, a") !== null && (key === "Enter" || key === " ");
}

/** Buttons and links that a pointer presses do not take the focus: Enter keeps its meaning. */
export function leaveFocus(event: MouseEvent): void {
  if (event.target instanceof Element && event.target.closest("button, a")) event.preventDefault();
}
