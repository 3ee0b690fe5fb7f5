/** The keyboard over the editor: bindings, digit keys, Space to pan, keys held to peek. */
import { toast } from "../toasts.svelte";
import { PAN_KEYS, type Binding, type Desk } from "./keymap";
import { keys } from "./keys.svelte";

/** Held longer than this, what a peeking key did is undone when it is let go. */
const PEEK = 350;
/** An Enter this many ms after a gesture ended by itself was meant to end it. */
const LATE = 1_000;
const MODIFIERS = new Set(["Shift", "Control", "Alt", "AltGraph", "Meta"]);
/** By binding. With Ctrl nobody ends a gesture. */
const LATE_MEANINGS: Readonly<Record<string, string>> = {
  submit: "submit",
  accept: "accept the cell",
};
const TEXT_FIELDS =
  "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";
/** What moves a focused radio button; a slider by these and some more. */
const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);
const LEAPS = new Set(["Home", "End", "PageUp", "PageDown"]);

export class Keyboard {
  spaceHeld = $state(false);
  /** As the key that is held was pressed. */
  private hadPoints = false;
  private peek: { readonly key: string; readonly binding: Binding; readonly since: number } | null =
    null;

  constructor(
    private readonly desk: Desk,
    private readonly chooseType: (type: string | null) => void,
  ) {}

  down(event: KeyboardEvent): void {
    if (event.defaultPrevented) return;
    if (event.key === "Enter" && !event.shiftKey && isNumberField(event.target)) {
      // A value is given: the keys are the image's again.
      event.target.blur();
      event.preventDefault();
      return;
    }
    if (belongsElsewhere(event)) return;
    if (this.handle(event)) event.preventDefault();
  }

  up(event: KeyboardEvent): void {
    if (event.key === " ") this.spaceHeld = false;
    if (event.key.toUpperCase() !== this.peek?.key) return;
    const { binding, since } = this.peek;
    this.peek = null;
    if (performance.now() - since > PEEK) binding.act(this.desk);
  }

  /** The window lost the focus: no key is held any more. */
  release(): void {
    this.spaceHeld = false;
    this.peek = null;
  }

  private handle(event: KeyboardEvent): boolean {
    const { editor } = this.desk;
    if (event.key === " ") {
      this.spaceHeld = true;
      return true;
    }
    if (editor.tools[editor.tool].key(editor.context, event.key)) {
      editor.toolVersion++;
      return true;
    }
    if (this.comesLate(event)) return true;
    if (this.chooseByDigit(event, event.key) || this.pan(event)) return true;
    const binding = this.bindingOf(event);
    // By its place where that has no other meaning: digits may need Shift.
    if (binding === undefined) {
      return this.chooseByDigit(event, /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1] ?? "");
    }
    if (event.repeat && (binding.repeats !== true || this.outlasts())) return true;
    if (!event.repeat) this.hadPoints = editor.holdsPoints;
    if (binding.peeks) {
      this.peek = { key: event.key.toUpperCase(), binding, since: performance.now() };
    }
    binding.act(this.desk);
    return true;
  }

  /** A held Ctrl+Z that takes points back ends with them: no finished edit follows. */
  private outlasts(): boolean {
    return this.hadPoints && !this.desk.editor.holdsPoints;
  }

  private bindingOf(event: KeyboardEvent): Binding | undefined {
    const reviewing = this.desk.editor.reviewing.current !== null;
    return event.altKey ? undefined : keys.bindingOf(event, reviewing);
  }

  /** Said once, the next press counts. */
  private comesLate(event: KeyboardEvent): boolean {
    const { editor } = this.desk;
    const { ended } = editor;
    if (ended === null || MODIFIERS.has(event.key)) return false;
    editor.ended = null;
    if (event.key !== "Enter" || performance.now() - ended.at > LATE) return false;
    const meaning = LATE_MEANINGS[this.bindingOf(event)?.id ?? ""];
    if (meaning === undefined) return false;
    toast(`${ended.what} already; press again to ${meaning}.`);
    return true;
  }

  private pan(event: KeyboardEvent): boolean {
    const step = PAN_KEYS[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return false;
    this.desk.editor.panBy(...step);
    return true;
  }

  private chooseByDigit(event: KeyboardEvent, digit: string): boolean {
    if (!/^\d$/.test(digit) || event.ctrlKey || event.metaKey || event.altKey) return false;
    const { readOnly, opened } = this.desk.editor;
    if (readOnly || event.repeat) return true;
    if (digit === "0") this.chooseType(null);
    const type = opened.dataset.types[Number(digit) - 1];
    if (type) this.chooseType(type.name);
    return true;
  }
}

function isNumberField(target: EventTarget | null): target is HTMLInputElement {
  return target instanceof HTMLInputElement && target.type === "number";
}

/**
 * Text fields keep their keys, a slider and a radio button what moves them, a checkbox Space; a
 * focused button keeps Enter and Space. What means nothing to them is the image's.
 */
function belongsElsewhere(event: KeyboardEvent): boolean {
  const { key, target } = event;
  if (!(target instanceof Element)) return false;
  if (target.matches(TEXT_FIELDS)) return true;
  if (ARROWS.has(key)) return target.matches("[type=range], [type=radio]");
  if (LEAPS.has(key)) return target.matches("[type=range]");
  if (event.ctrlKey || (event.shiftKey && key === "Enter")) return false;
  if (key === " ") return target.matches("button, a, summary, input:not([type=range])");
  return key === "Enter" && target.matches("button, a, summary");
}

/** A slider let go by the pointer gives the keyboard back to the image. */
export function leaveSlider(): void {
  const { activeElement } = document;
  if (activeElement instanceof HTMLInputElement && activeElement.type === "range") {
    activeElement.blur();
  }
}
