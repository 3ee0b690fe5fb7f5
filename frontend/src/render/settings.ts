/** How an image and its labels are shown. */
import type { Change } from "../core/diff";
import type { Contrast } from "../core/intensity";

export type Rgb = readonly [red: number, green: number, blue: number];
export type Palette = "fluorescence" | "colour-blind";
export type ColourBy = "type" | "instance" | "uncertainty";

export interface ChannelView {
  readonly role: string;
  readonly visible: boolean;
  readonly contrast: Contrast;
  /** As in ImageJ and napari, shown = value ^ gamma: below 1 lifts dim parts. */
  readonly gamma: number;
  /** 0 … 1 each. */
  readonly colour: Rgb;
}

export interface OverlayView {
  readonly shown: boolean;
  readonly outlines: boolean;
  readonly fill: boolean;
  /** Of the fill, 0 … 1. */
  readonly opacity: number;
  readonly colourBy: ColourBy;
}

export const DEFAULT_OVERLAY: OverlayView = {
  shown: true,
  outlines: true,
  fill: true,
  opacity: 0.22,
  colourBy: "type",
};

const GREEN: Rgb = [0.1, 1, 0.25];
const BLUE: Rgb = [0.2, 0.45, 1];
const MAGENTA: Rgb = [1, 0.1, 0.95];
const GREY: Rgb = [1, 1, 1];
const SPARE: readonly Rgb[] = [
  [1, 0.25, 0.2],
  [1, 0.85, 0.1],
];

/** The colour of a channel by its role; a single channel is grey. */
export function channelColour(role: string, index: number, count: number, palette: Palette): Rgb {
  if (count === 1) return GREY;
  if (role === "cytoplasm") return GREEN;
  if (role === "nucleus") return palette === "colour-blind" ? MAGENTA : BLUE;
  return SPARE[index % SPARE.length] ?? GREY;
}

/** Told apart by every kind of colour vision (Okabe and Ito, its black replaced). */
const SAFE_TYPES: readonly Rgb[] = [
  [0.9, 0.62, 0],
  [0.34, 0.71, 0.91],
  [0.95, 0.9, 0.25],
  [0.8, 0.47, 0.65],
  [0, 0.62, 0.45],
  [0.84, 0.37, 0],
  [0.2, 0.5, 0.85],
];

/** The colour of a cell type: its own, or one of those that the colour-blind tell apart. */
export function typeColour(own: string, index: number, palette: Palette): Rgb {
  if (palette === "fluorescence") return hexToRgb(own);
  return SAFE_TYPES[index % SAFE_TYPES.length] ?? GREY;
}

/** Channels as they are drawn: one alone in grey, where that is wanted. */
export function drawnChannels(
  channels: readonly ChannelView[],
  greyAlone: boolean,
): readonly ChannelView[] {
  const alone = channels.filter(({ visible }) => visible).length === 1;
  return alone && greyAlone ? channels.map((channel) => ({ ...channel, colour: GREY })) : channels;
}

/** None is near the green and blue of the images; the colour-blind tell them apart by lightness. */
export const DIFF_COLOURS: Readonly<Record<Change, Rgb>> = {
  added: [1, 0.15, 0.8],
  removed: [1, 0.45, 0.1],
  reshaped: [0.75, 0.9, 1],
  retyped: [0.95, 0.9, 0.25],
};
/** A cell without a type. */
export const UNTYPED: Rgb = [0.82, 0.86, 0.88];
/** A cell that is as the model has it, while changes are shown. */
export const UNCHANGED: Rgb = [0.5, 0.55, 0.58];

export function hexToRgb(hex: string): Rgb {
  const value = Number.parseInt(hex.replace("#", ""), 16);
  if (!Number.isFinite(value)) return GREY;
  return [((value >> 16) & 255) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255];
}

export function rgbToCss([red, green, blue]: Rgb): string {
  return `rgb(${Math.round(red * 255)} ${Math.round(green * 255)} ${Math.round(blue * 255)})`;
}
