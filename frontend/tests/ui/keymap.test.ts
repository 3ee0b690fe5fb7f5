import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ariaKey, BINDINGS, keyName } from "../../src/ui/editor/keymap";
import { conflictsIn, readKeys } from "../../src/ui/editor/keyChoice";
import { Keys } from "../../src/ui/editor/keys.svelte";
import { PRESET_KEYS, PRESETS } from "../../src/ui/editor/presets";

const press = (
  key: string,
  held: Partial<Record<"ctrlKey" | "metaKey" | "shiftKey", boolean>> = {},
) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  shiftKey: false,
  ...held,
});

const keys = new Keys();
const named = (id: string) => {
  const found = BINDINGS.find((binding) => binding.id === id);
  if (found === undefined) throw new Error(`no binding ${id}`);
  return found;
};
beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

it("no key does two things", () => {
  const keys = BINDINGS.flatMap((binding) => binding.keys);
  expect(keys).toEqual([...new Set(keys)]);
});

it("keys that need Shift on some keyboards are named without it", () => {
  expect(keyName(press("?", { shiftKey: true }))).toBe("?");
  expect(keyName(press("u", { shiftKey: true }))).toBe("Shift+U");
  expect(keyName(press("Z", { ctrlKey: true, shiftKey: true }))).toBe("Ctrl+Shift+Z");
  expect(keyName(press("Home", { shiftKey: true }))).toBe("Shift+Home");
});

it("the command key of a Mac counts as Ctrl", () => {
  expect(keys.bindingOf(press("z", { metaKey: true }))?.name).toBe("Undo");
  expect(keys.bindingOf(press("y", { ctrlKey: true }))?.name).toBe("Redo");
  expect(keys.bindingOf(press("z"))?.name).toBe("Outlines");
});

it("screen readers hear Control, which is the name of the key", () => {
  expect(ariaKey("Ctrl+Z")).toBe("Control+Z");
  expect(ariaKey("B")).toBe("B");
});

describe("presets", () => {
  it.each(PRESETS)("in %s no key does two things", (preset) => {
    expect([...conflictsIn({ preset, own: {} })]).toEqual([]);
  });

  it("name only bindings there are", () => {
    const ids = new Set(BINDINGS.map(({ id }) => id));
    expect(ids.size).toBe(BINDINGS.length);
    for (const preset of PRESETS) {
      for (const id of Object.keys(PRESET_KEYS[preset])) expect(ids).toContain(id);
    }
  });

  it("change what keys do and what tooltips say", () => {
    const mine = new Keys();
    mine.choosePreset("napari");
    expect(mine.bindingOf(press("p"))?.id).toBe("brush");
    expect(mine.hint("Brush", "brush")).toBe("Brush (P)");
    expect(new Keys().choice.preset).toBe("napari");
  });
});

describe("keys of one's own", () => {
  it("win over others on the same key, which is said, until reset", () => {
    const mine = new Keys();
    mine.set(named("brush"), ["E"]);
    expect(mine.bindingOf(press("e"))?.id).toBe("brush");
    expect([...mine.conflicts]).toEqual([["E", ["Brush", "Eraser"]]]);
    expect(new Keys().bindingOf(press("e"))?.id).toBe("brush");
    mine.reset();
    expect(mine.bindingOf(press("e"))?.id).toBe("eraser");
    expect(mine.conflicts.size).toBe(0);
  });

  it("that are the preset's count as no change; a binding may have none", () => {
    const mine = new Keys();
    mine.set(named("brush"), ["B"]);
    expect(mine.changed).toBe(false);
    mine.set(named("brush"), []);
    expect(mine.bindingOf(press("b"))).toBeUndefined();
    expect(mine.hint("Brush", "brush")).toBe("Brush");
  });

  it("stored damaged are forgotten", () => {
    localStorage.setItem("cytoloop.keys", '{"preset":"emacs","own":{"brush":7,"eraser":["K"]}}');
    expect(readKeys()).toEqual({ preset: "default", own: { eraser: ["K"] } });
    localStorage.setItem("cytoloop.keys", "{");
    expect(readKeys()).toEqual({ preset: "default", own: {} });
  });
});

it("while reviewing, Enter accepts; outside it sends nothing, Shift+Enter does", () => {
  expect(keys.bindingOf(press("Enter"), true)?.id).toBe("accept");
  expect(keys.bindingOf(press("Enter"))).toBeUndefined();
  expect(keys.bindingOf(press("Enter", { shiftKey: true }))?.id).toBe("submit");
  expect(keys.bindingOf(press("Backspace"), true)?.id).toBe("back");
  expect(keys.bindingOf(press("z", { ctrlKey: true }), true)?.id).toBe("undo");
});
