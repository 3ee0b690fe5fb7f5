// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { actionOf, bareKey, isElsewhere, leaveFocus } from "../../src/ui/gallery/keys";

const press = (key: string, held: Partial<KeyboardEvent> = {}): Parameters<typeof actionOf>[0] => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  repeat: false,
  ...held,
});

describe("keys of the gallery", () => {
  it("do what the list of keys says", () => {
    expect(actionOf(press("3"))).toEqual({ kind: "type", index: 3 });
    expect(actionOf(press("0"))).toEqual({ kind: "type", index: 0 });
    const kinds = ["Enter", "x", "X", "Delete", "u", "z", "e", "?"].map(
      (key) => actionOf(press(key))?.kind,
    );
    expect(kinds).toEqual([
      "accept",
      "reject",
      "reject",
      "reject",
      "undo",
      "outlines",
      "open",
      "help",
    ]);
    expect(actionOf(press("z", { ctrlKey: true }))).toEqual({ kind: "undo" });
  });

  it("leave the browser's own alone", () => {
    for (const key of ["1", "e", "u", "Enter"]) {
      expect(actionOf(press(key, { ctrlKey: true }))).toBeNull();
      expect(actionOf(press(key, { altKey: true }))).toBeNull();
    }
    expect(actionOf(press("constructor"))).toBeNull();
    expect(actionOf(press("F1"))).toBeNull();
  });

  it("act once while they are held: nobody has seen the cells that come next", () => {
    for (const key of ["Enter", "x", "2", "u"]) {
      expect(actionOf(press(key, { repeat: true }))).toBeNull();
    }
    expect(bareKey(press("S"))).toBe("s");
    expect(bareKey(press("s", { repeat: true }))).toBe("");
  });

  it("of saving, of going back and of redoing are the browser's", () => {
    expect(bareKey(press("s", { ctrlKey: true }))).toBe("");
    expect(bareKey(press("n", { metaKey: true }))).toBe("");
    expect(actionOf(press("Z", { ctrlKey: true, shiftKey: true }))).toBeNull();
  });

  it("keep their meaning after a button was clicked", () => {
    document.body.innerHTML = "<button><kbd>1</kbd></button><a href='/'>an image</a><p>words</p>";
    const taken = (selector: string): boolean => {
      const event = new MouseEvent("mousedown", { bubbles: true, cancelable: true });
      document.body.addEventListener("mousedown", leaveFocus, { once: true });
      return document.querySelector(selector)?.dispatchEvent(event) ?? false;
    };
    expect([taken("kbd"), taken("a"), taken("p")]).toEqual([false, false, true]);
  });

  it("are for a field that has the focus; a button takes Enter and Space only", () => {
    document.body.innerHTML =
      "<select></select><button><kbd>1</kbd></button><div tabindex=0></div><dialog><p></p></dialog>";
    const at = (selector: string, key: string): boolean =>
      isElsewhere({ target: document.querySelector(selector), key });
    expect(at("select", "1")).toBe(true);
    expect(at("dialog p", "x")).toBe(true);
    expect(at("kbd", "Enter")).toBe(true);
    expect(at("kbd", "1")).toBe(false);
    expect(at("div", "Enter")).toBe(false);
    expect(isElsewhere({ target: window, key: "1" })).toBe(false);
  });
});
