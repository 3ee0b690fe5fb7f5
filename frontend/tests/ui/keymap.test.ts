import { expect, it } from "vitest";
import { ariaKey, BINDINGS, bindingOf, keyName } from "../../src/ui/editor/keymap";

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
  expect(bindingOf(press("z", { metaKey: true }))?.name).toBe("Undo");
  expect(bindingOf(press("y", { ctrlKey: true }))?.name).toBe("Redo");
  expect(bindingOf(press("z"))?.name).toBe("Outlines");
});

it("screen readers hear Control, which is the name of the key", () => {
  expect(ariaKey("Ctrl+Z")).toBe("Control+Z");
  expect(ariaKey("B")).toBe("B");
});
