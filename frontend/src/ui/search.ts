/** A search's trials as points, lines and words. No DOM. */
import type { Range, Search, SearchDetail, Trial } from "../api/types";
import { extent, linear, type Point, type Scale } from "./chart";
import { plural } from "./format";

/** A setting as a vertical axis; `place` gives 0 (bottom) to 1 (top). */
export interface Axis {
  key: string;
  name: string;
  ticks: readonly { place: number; text: string }[];
  place: Scale;
}

const SETTING_NAMES: Readonly<Record<string, string>> = {
  learning_rate: "learning rate",
  weight_decay: "weight decay",
  warmup: "warm-up",
  ema: "averaging",
  clip: "gradient clip",
  batch_size: "batch size",
  crop: "crop, px",
  scale_low: "zoom from",
  scale_high: "zoom to",
  crops_per_epoch: "crops per epoch",
};
const LEAST_PLAIN = 0.001;

export const settingName = (key: string): string => SETTING_NAMES[key] ?? key.replaceAll("_", " ");

/** Three significant digits: "0.0021", "1.5e-5", "224"; a true minus sign. */
export function shortNumber(value: number): string {
  const rounded = Number(value.toPrecision(3));
  const small = rounded !== 0 && Math.abs(rounded) < LEAST_PLAIN;
  return (small ? rounded.toExponential() : String(rounded)).replaceAll("-", "−");
}

export const scored = (trial: Trial): trial is Trial & { value: number } => trial.value !== null;

/**
 * The scores to draw: all trials that were trained to their end, and as much again below them.
 * One bad trial would otherwise press the good ones into a line.
 */
export function scoreRange(trials: readonly Trial[]): Point {
  const whole = trials.filter(({ state }) => state === "done");
  const values = (whole.length > 0 ? whole : trials).flatMap((t) => (scored(t) ? [t.value] : []));
  const [low, high] = extent(values) ?? [0, 1];
  const span = high - low || Math.abs(high) * 0.1 || 1;
  const least = Math.min(...trials.filter(scored).map(({ value }) => value), low);
  return [Math.max(least, low - span), high + span * 0.05];
}

/** The best score of the trials up to each, over its number; trials are compared when whole. */
export function bestSoFar(trials: readonly Trial[]): Point[] {
  let best = -Infinity;
  return inOrder(trials).flatMap((trial): Point[] => {
    if (trial.state !== "done" || !scored(trial)) return [];
    best = Math.max(best, trial.value);
    return [[trial.number, best]];
  });
}

/** An SVG path that holds each value until the next point, and the last until `end`. */
export function stepPath(points: readonly Point[], end: number, x: Scale, y: Scale): string {
  const [first] = points;
  if (!first) return "";
  const steps = points.slice(1).map(([px, py]) => `H${x(px).toFixed(1)}V${y(py).toFixed(1)}`);
  return `M${x(first[0]).toFixed(1)},${y(first[1]).toFixed(1)}${steps.join("")}H${x(end).toFixed(1)}`;
}

export const inOrder = (trials: readonly Trial[]): Trial[] =>
  [...trials].sort((a, b) => a.number - b.number);

/** Each scored trial's rank as 0 (worst) to 1 (best). */
export function ranks(trials: readonly Trial[]): Map<number, number> {
  const sorted = trials.filter(scored).sort((a, b) => a.value - b.value);
  const last = Math.max(1, sorted.length - 1);
  return new Map(sorted.map(({ number }, index) => [number, sorted.length > 1 ? index / last : 1]));
}

/** One axis for each setting that the search varies, the score's last. */
export function axes(search: SearchDetail): Axis[] {
  const settings = Object.entries(search.space).map(([key, range]) => axisOf(key, range));
  const [low, high] = scoreRange(search.trials);
  const place = linear([low, high], [0, 1]);
  const ticks = [low, high].map((value) => ({ place: place(value), text: shortNumber(value) }));
  const score = {
    key: "",
    name: "score",
    ticks,
    place: (value: number) => Math.max(0, place(value)),
  };
  return [...settings, score];
}

function axisOf(key: string, { low = 0, high = 1, log = false, choices }: Range): Axis {
  const name = settingName(key);
  if (choices) {
    const sorted = [...choices].sort((a, b) => a - b);
    const last = sorted.length - 1;
    const place = (value: number): number => (last > 0 ? sorted.indexOf(value) / last : 0.5);
    return {
      key,
      name,
      place,
      ticks: sorted.map((v) => ({ place: place(v), text: shortNumber(v) })),
    };
  }
  const bend = log ? Math.log10 : (value: number): number => value;
  const straight = linear([bend(low), bend(high)], [0, 1]);
  const place = (value: number): number => straight(bend(value));
  return {
    key,
    name,
    place,
    ticks: [low, high].map((v) => ({ place: place(v), text: shortNumber(v) })),
  };
}

/** Where a trial crosses each axis; null until it has settings and a score. */
export function crossings(trial: Trial, along: readonly Axis[]): number[] | null {
  const { params } = trial;
  if (params === null || !scored(trial)) return null;
  return along.map(({ key, place }) => place(key === "" ? trial.value : (params[key] ?? NaN)));
}

/** One trial in words. */
export function trialSentence(trial: Trial): string {
  const said = [`Trial ${trial.number}`, trial.state];
  if (scored(trial)) said.push(`score ${shortNumber(trial.value)}`);
  const settings = Object.entries(trial.params ?? {});
  const words = settings.map(([key, value]) => `${settingName(key)} ${shortNumber(value)}`);
  return [...said, words.join(", ")].filter((part) => part !== "").join(" · ");
}

/** How far a search is. */
export function searchSentence(search: Search): string {
  if (search.message) return search.message;
  if (search.status === "queued") return "The search waits for a free trainer.";
  return `${search.over} of ${plural(search.wanted, "trial")} are over.`;
}
