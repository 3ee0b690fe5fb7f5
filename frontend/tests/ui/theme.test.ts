/** WCAG 2.1 contrast (AA) of the tokens of both themes, on every surface and tinted surface. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

type Rgb = readonly [number, number, number];

const css = readFileSync("src/ui/theme.css", "utf8");
const dark = tokensOf(/:root \{([^}]*)\}/);
const themes = { dark, light: new Map([...dark, ...tokensOf(/data-theme="light"\] \{([^}]*)\}/)]) };

const SURFACES = ["bg", "surface", "surface-2", "surface-3"];
const TEXTS = ["text", "text-2", "accent", "blue", "amber", "red"];
const TINTED = ["accent", "blue", "amber", "red"];

function tokensOf(block: RegExp): Map<string, string> {
  const body = block.exec(css)?.[1] ?? "";
  return new Map(
    [...body.matchAll(/--([a-z0-9-]+):\s*(#[0-9a-f]+);/g)].map(([, name, hex]) => [
      name as string,
      hex as string,
    ]),
  );
}

/** `#rrggbb` or `#rrggbbaa` laid over a ground. */
function over(hex: string, ground: Rgb = [0, 0, 0]): Rgb {
  const part = (at: number): number => parseInt(hex.slice(at, at + 2), 16) / 255;
  const alpha = hex.length > 7 ? part(7) : 1;
  return [1, 3, 5].map((at, index) => {
    return part(at) * alpha + (ground[index] ?? 0) * (1 - alpha);
  }) as unknown as Rgb;
}

function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((value) =>
    value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4,
  ) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: Rgb, b: Rgb): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe.each(Object.entries(themes))("the %s theme", (_name, tokens) => {
  const hex = (name: string): string => {
    const found = tokens.get(name);
    if (found === undefined) throw new Error(`no token --${name}`);
    return found;
  };
  const failing = (pairs: readonly (readonly [string, Rgb, Rgb])[], least: number): string[] =>
    pairs
      .map(([what, a, b]) => [what, contrast(a, b)] as const)
      .filter(([, ratio]) => ratio < least)
      .map(([what, ratio]) => `${what}: ${ratio.toFixed(2)}`);

  it("has text of 4.5:1 on every surface", () => {
    const pairs = SURFACES.flatMap((surface) =>
      TEXTS.map((text) => {
        return [`${text} on ${surface}`, over(hex(text)), over(hex(surface))] as const;
      }),
    );
    expect(failing(pairs, 4.5)).toEqual([]);
  });

  it("has text of 4.5:1 on its own tint", () => {
    const pairs = ["bg", "surface", "surface-2"].flatMap((surface) =>
      TINTED.map((text) => {
        const tint = over(hex(`${text}-soft`), over(hex(surface)));
        return [`${text} on its tint on ${surface}`, over(hex(text)), tint] as const;
      }),
    );
    expect(failing(pairs, 4.5)).toEqual([]);
  });

  it("has text of 4.5:1 on buttons and control borders of 3:1", () => {
    const buttons = ["accent", "accent-hover"].map(
      (button) => [`on ${button}`, over(hex("on-accent")), over(hex(button))] as const,
    );
    expect(failing(buttons, 4.5)).toEqual([]);
    const borders = SURFACES.map(
      (surface) => [surface, over(hex("line-strong")), over(hex(surface))] as const,
    );
    expect(failing(borders, 3)).toEqual([]);
  });
});
