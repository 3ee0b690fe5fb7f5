import { expect, it } from "vitest";
import { failOnError, RenderError, type Gl } from "../../src/render/gl";

const card = (error: number, lost = false): Gl =>
  ({
    NO_ERROR: 0,
    OUT_OF_MEMORY: 0x505,
    getError: () => error,
    isContextLost: () => lost,
  }) as unknown as Gl;

it("an image too large for the card's memory is said to be so", () => {
  expect(() => failOnError(card(0x505))).toThrow(RenderError);
  expect(() => failOnError(card(0x505))).toThrow(/too little free memory .* Close other tabs/);
  expect(() => failOnError(card(0x502))).toThrow("WebGL error 0x502");
});

it("a card that took the image, or that will come back, is no failure", () => {
  expect(() => failOnError(card(0))).not.toThrow();
  expect(() => failOnError(card(0x9242, true))).not.toThrow();
});
