/** Which keys a person chose: stored in this browser, read and written here only. */
import { BINDINGS, REVIEW_BINDINGS, type Binding } from "./keymap";
import { PRESET_KEYS, PRESETS, type Preset } from "./presets";

/** What is stored. */
export interface KeyChoice {
  readonly preset: Preset;
  /** Changed keys by binding. */
  readonly own: Readonly<Record<string, readonly string[]>>;
}

const STORED = "cytoloop.keys";
const PLAIN: KeyChoice = { preset: "default", own: {} };

export function readKeys(): KeyChoice {
  try {
    return checked(JSON.parse(localStorage.getItem(STORED) ?? "{}"));
  } catch {
    // Storage forbidden or its content damaged: the default keys serve.
    return PLAIN;
  }
}

export function keepKeys(choice: KeyChoice): void {
  try {
    localStorage.setItem(STORED, JSON.stringify(choice));
  } catch {
    // Storage forbidden or full: the keys hold until the page is left.
  }
}

function checked(found: unknown): KeyChoice {
  if (typeof found !== "object" || found === null) return PLAIN;
  const { preset, own } = found as Partial<Record<keyof KeyChoice, unknown>>;
  const known = PRESETS.find((name) => name === preset) ?? "default";
  const entries = typeof own === "object" && own !== null ? Object.entries(own) : [];
  const isKeys = (keys: unknown): keys is string[] =>
    Array.isArray(keys) && keys.every((key) => typeof key === "string");
  const kept = entries.filter((entry): entry is [string, string[]] => isKeys(entry[1]));
  return { preset: known, own: Object.fromEntries(kept) };
}

/** The keys of one binding in a choice. */
export function keysIn({ preset, own }: KeyChoice, { id, keys }: Binding): readonly string[] {
  return own[id] ?? PRESET_KEYS[preset][id]?.split(" ") ?? keys;
}

/** Keys that are on several bindings, with the names of these. */
export function conflictsIn(choice: KeyChoice): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const binding of BINDINGS) {
    for (const key of keysIn(choice, binding)) {
      names.set(key, [...(names.get(key) ?? []), binding.name]);
    }
  }
  return new Map([...names].filter(([, all]) => all.length > 1));
}

/** What each key does. Of several bindings on one key the changed one has it. */
export function bindingsByKey(choice: KeyChoice): ReadonlyMap<string, Binding> {
  const own = ({ id }: Binding): number => Number(choice.own[id] !== undefined);
  const ordered = [...BINDINGS].sort((a, b) => own(a) - own(b));
  return new Map(ordered.flatMap((each) => keysIn(choice, each).map((key) => [key, each])));
}

export const REVIEW_KEYS = new Map(
  REVIEW_BINDINGS.flatMap((each) => each.keys.map((key) => [key, each])),
);
