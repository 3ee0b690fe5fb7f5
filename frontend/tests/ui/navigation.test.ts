// @vitest-environment jsdom
/** Leaving a page whose work would be lost. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { navigation } from "../../src/ui/navigation.svelte";

let quit: () => void = () => undefined;
let pardon: () => void = () => undefined;

beforeEach(() => {
  vi.stubGlobal("scrollTo", () => undefined);
  navigation.go("/datasets/1", { replace: true });
  navigation.go("/images/7");
  quit = navigation.listen();
  pardon = navigation.guard(() => "It would be lost.");
});
afterEach(() => {
  quit();
  pardon();
  vi.unstubAllGlobals();
});

const arrived = (path: string): Promise<void> =>
  vi.waitFor(() => {
    expect([navigation.address, location.pathname]).toEqual([path, path]);
  });

it("a link asks first, and goes where it was to go once the person agrees", () => {
  navigation.go("/datasets/2");
  expect(navigation.asking?.reason).toBe("It would be lost.");
  navigation.asking?.answer(false);
  expect([navigation.asking, navigation.address]).toEqual([null, "/images/7"]);
  navigation.go("/datasets/2");
  navigation.asking?.answer(true);
  expect(location.pathname).toBe("/datasets/2");
});

it("so does the browser's Back", async () => {
  history.back();
  await vi.waitFor(() => {
    expect(navigation.asking).not.toBeNull();
  });
  await arrived("/images/7");
  navigation.asking?.answer(true);
  await arrived("/datasets/1");
});

it("so does signing out", async () => {
  const answer = navigation.mayLeave();
  navigation.asking?.answer(false);
  expect(await answer).toBe(false);
  pardon();
  expect(await navigation.mayLeave()).toBe(true);
});

it("where the app itself must lead, nobody is asked", () => {
  navigation.go("/sign-in", { replace: true });
  expect([navigation.asking, navigation.address]).toEqual([null, "/sign-in"]);
});
