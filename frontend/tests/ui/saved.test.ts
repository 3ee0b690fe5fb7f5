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
  const about = (server: Kept["server"]): string => savedWords({ ...kept, server }).about;
  expect(said({ server: { ...good, savedAt: null } })).toBe(`Saved here ${clockTime(AT)}`);
  const offline = { ...good, unreachableSince: AT };
  expect(said({ server: offline })).toBe(`Offline since ${clockTime(AT)}`);
  expect(about(offline)).toContain("in this browser only");
  expect(said({ server: { ...good, signedOut: true } })).toBe("Signed out");
  expect(said({ server: { ...good, error: "Too large." } })).toBe("Saved here only");
  expect(about({ ...good, error: "Too large." })).toContain("Too large.");
});

it("a browser that cannot keep it leaves it to the server, or it is not saved", () => {
  const browser = { savedAt: null, error: "The disk is full." };
  expect(said({ browser })).toBe(`Server only ${clockTime(AT)}`);
  expect(savedWords({ ...kept, browser }).about).toContain("The disk is full.");
  expect(savedWords({ ...kept, browser, server: { ...good, unreachableSince: AT } })).toEqual({
    text: "Not saved",
    about: "The disk is full.",
    tone: "warn",
  });
});

it("the time has as many characters at every hour", () => {
  const evening = new Date(2026, 10, 1, 18, 26).getTime();
  expect([clockTime(AT), clockTime(evening)]).toEqual(["14:02", "18:26"]);
});

it("what is submitted is not called saved", () => {
  expect(said({ unsaved: false, submittedAt: AT })).toBe(`Submitted ${clockTime(AT)}`);
  expect(said({ unsaved: false })).toBe("");
  expect(said({ submitting: true })).toBe("Submitting…");
});
