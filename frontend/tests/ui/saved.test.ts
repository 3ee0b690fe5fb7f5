import { expect, it } from "vitest";
import { clockTime, savedWords, type Kept } from "../../src/ui/editor/saved";

const AT = new Date(2026, 10, 1, 14, 2).getTime();
const good = { savedAt: AT, unreachableSince: null, signedOut: false, error: null };
const kept: Kept = {
  submitting: false,
  unsaved: true,
  submittedAt: null,
  browser: { savedAt: AT, error: null },
  server: good,
};
const said = (change: Partial<Kept>): string => savedWords({ ...kept, ...change }).text;

it("work that both have is saved, and says when", () => {
  expect(said({})).toBe(`Saved ${clockTime(AT)}`);
});

it("work that only this browser has says so, and why", () => {
  expect(said({ server: { ...good, savedAt: null } })).toContain("Saved in this browser");
  expect(said({ server: { ...good, unreachableSince: AT } })).toBe(
    `Saved in this browser only — server unreachable since ${clockTime(AT)}`,
  );
  expect(said({ server: { ...good, signedOut: true } })).toContain("only — signed out");
  expect(savedWords({ ...kept, server: { ...good, error: "Too large." } })).toMatchObject({
    text: "Saved in this browser only",
    about: "Too large.",
  });
});

it("a browser that cannot keep it leaves it to the server, or it is not saved", () => {
  const browser = { savedAt: null, error: "The disk is full." };
  expect(said({ browser })).toContain("on the server only");
  expect(savedWords({ ...kept, browser, server: { ...good, unreachableSince: AT } })).toEqual({
    text: "Not saved",
    about: "The disk is full.",
    tone: "warn",
  });
});

it("what is submitted is not called saved", () => {
  expect(said({ unsaved: false, submittedAt: AT })).toBe(`Submitted ${clockTime(AT)}`);
  expect(said({ unsaved: false })).toBe("");
  expect(said({ submitting: true })).toBe("Submitting…");
});
