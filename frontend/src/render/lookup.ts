/** The colour of every label, as the pixels of a lookup texture (four bytes per label). */
import type { MaskDocument, TypeSource } from "../core/document";
import type { Difference } from "../core/diff";
import type { Evidence } from "../core/evidence";
import { DIFF_COLOURS, UNCHANGED, UNTYPED, type ColourBy, type Rgb } from "./settings";

export const LOOKUP_WIDTH = 1024;

/** Bits of the fourth byte. */
export const SHOWN = 1;
export const SELECTED = 2;
/** The type is the model's guess: its outline is dashed. */
export const GUESSED = 4;
/** The type is what the file name says: its outline is dotted. */
export const FILE_NAMED = 8;

export interface LookupInput {
  readonly doc: MaskDocument;
  readonly selection: ReadonlySet<number>;
  readonly evidence: ReadonlyMap<number, Evidence>;
  readonly typeColours: ReadonlyMap<string, Rgb>;
  readonly colourBy: ColourBy;
  /** Colours say what the correction changed, whatever they say otherwise. */
  readonly difference?: Difference | null;
}

const SOURCE_FLAGS: Readonly<Record<TypeSource, number>> = {
  model: GUESSED,
  file_name: FILE_NAMED,
  human: 0,
  "": 0,
};

const UNKNOWN: Rgb = [0.45, 0.5, 0.55];
const GOLDEN = 0.618033988749895;

export function lookupTable(input: LookupInput): Uint8Array<ArrayBuffer> {
  const rows = Math.ceil((input.doc.highest + 1) / LOOKUP_WIDTH);
  const table = new Uint8Array(rows * LOOKUP_WIDTH * 4);
  for (const [label, meta] of input.doc.meta.entries()) {
    const [red, green, blue] = colourOf(input, label, meta.type);
    const at = label * 4;
    table[at] = Math.round(red * 255);
    table[at + 1] = Math.round(green * 255);
    table[at + 2] = Math.round(blue * 255);
    table[at + 3] = flagsOf(input, label, meta.source);
  }
  return table;
}

/** The labels whose colour or flags are not the same in two tables. */
export function recoloured(
  before: Uint8Array<ArrayBuffer>,
  after: Uint8Array<ArrayBuffer>,
): number[] {
  const [old, now] = [texels(before), texels(after)];
  const found: number[] = [];
  for (let label = 0; label < Math.max(old.length, now.length); label++) {
    if ((old[label] ?? 0) !== (now[label] ?? 0)) found.push(label);
  }
  return found;
}

function texels(table: Uint8Array<ArrayBuffer>): Uint32Array {
  return new Uint32Array(table.buffer, table.byteOffset, table.length / 4);
}

function flagsOf({ selection }: LookupInput, label: number, source: TypeSource): number {
  return SHOWN | (selection.has(label) ? SELECTED : 0) | SOURCE_FLAGS[source];
}

function colourOf(input: LookupInput, label: number, type: string | null): Rgb {
  if (input.difference) return changeColour(input.difference, label);
  switch (input.colourBy) {
    case "type":
      return (type === null ? undefined : input.typeColours.get(type)) ?? UNTYPED;
    case "instance":
      return instanceColour(label);
    case "uncertainty": {
      const evidence = input.evidence.get(label);
      return evidence === undefined ? UNKNOWN : uncertaintyColour(evidence.uncertainty);
    }
  }
}

function changeColour({ added, reshaped, retyped }: Difference, label: number): Rgb {
  if (added.has(label)) return DIFF_COLOURS.added;
  if (reshaped.has(label)) return DIFF_COLOURS.reshaped;
  return retyped.has(label) ? DIFF_COLOURS.retyped : UNCHANGED;
}

/** Hues a golden section apart: neighbours in number differ clearly. */
export function instanceColour(label: number): Rgb {
  const hue = (label * GOLDEN) % 1;
  const channel = (shift: number): number => {
    const k = (shift + hue * 12) % 12;
    return 0.62 - 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  return [channel(0), channel(8), channel(4)];
}

const RAMP: readonly Rgb[] = [
  [0.15, 0.4, 0.85],
  [0.2, 0.75, 0.75],
  [0.95, 0.85, 0.3],
  [1, 0.35, 0.2],
];

/** Blue (sure) to red (in doubt), told apart by lightness too. */
export function uncertaintyColour(value: number): Rgb {
  const at = Math.min(1, Math.max(0, value)) * (RAMP.length - 1);
  const index = Math.min(RAMP.length - 2, Math.floor(at));
  const low = RAMP[index] as Rgb;
  const high = RAMP[index + 1] as Rgb;
  const share = at - index;
  return [
    low[0] + (high[0] - low[0]) * share,
    low[1] + (high[1] - low[1]) * share,
    low[2] + (high[2] - low[2]) * share,
  ];
}
