/** The keys this person uses: a preset and what they changed in it. */
import {
  bindingsByKey,
  conflictsIn,
  keepKeys,
  keysIn,
  readKeys,
  REVIEW_KEYS,
  type KeyChoice,
} from "./keyChoice";
import { BINDINGS, keyName, type Binding, type KeyPress } from "./keymap";
import type { Preset } from "./presets";

export class Keys {
  choice = $state.raw(readKeys());
  readonly conflicts = $derived.by(() => conflictsIn(this.choice));
  readonly changed = $derived.by(() => Object.keys(this.choice.own).length > 0);
  private readonly byKey = $derived.by(() => bindingsByKey(this.choice));

  of(binding: Binding): readonly string[] {
    return keysIn(this.choice, binding);
  }

  /** The first key of a binding; "" where it has none. */
  first(id: string): string {
    const binding = BINDINGS.find((candidate) => candidate.id === id);
    return (binding && this.of(binding)[0]) ?? "";
  }

  /** A tooltip with the key: "Zoom in (+)". */
  hint(text: string, id: string): string {
    const key = this.first(id);
    return key === "" ? text : `${text} (${key})`;
  }

  bindingOf(press: KeyPress, reviewing = false): Binding | undefined {
    const name = keyName(press);
    return (reviewing ? REVIEW_KEYS.get(name) : undefined) ?? this.byKey.get(name);
  }

  choosePreset(preset: Preset): void {
    this.keep({ preset, own: {} });
  }

  /** Other keys for one binding. Those of the preset are no change. */
  set(binding: Binding, keys: readonly string[]): void {
    const { preset, own } = this.choice;
    const others = Object.entries(own).filter(([id]) => id !== binding.id);
    const plain = keysIn({ preset, own: {} }, binding);
    const same = plain.length === keys.length && plain.every((key, at) => key === keys[at]);
    const changed = same ? [] : [[binding.id, keys] as const];
    this.keep({ preset, own: Object.fromEntries([...others, ...changed]) });
  }

  /** The preset's keys again. */
  reset(): void {
    this.keep({ ...this.choice, own: {} });
  }

  private keep(choice: KeyChoice): void {
    this.choice = choice;
    keepKeys(choice);
  }
}

export const keys = new Keys();
