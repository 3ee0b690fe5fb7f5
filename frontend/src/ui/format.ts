/** Numbers, times and words as people read them. */

const whole = new Intl.NumberFormat("en");
const ordinals = new Intl.PluralRules("en", { type: "ordinal" });
const NOTHING = "–";

export const count = (value: number): string => whole.format(value);

/** "1 image", "2 images", "1,204 cells". */
export function plural(value: number, noun: string, nouns = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : nouns}`;
}

/** A share of 0 to 1 as "42 %" (with a no-break space), with one decimal below 10 %. */
export function percent(share: number | null | undefined): string {
  if (share == null) return NOTHING;
  const value = share * 100;
  return `${value.toFixed(value > 0 && value < 9.95 ? 1 : 0)}\u00a0%`;
}

/** A score of 0 to 1 with three decimals. */
export function score(value: number | null | undefined, digits = 3): string {
  return value == null ? NOTHING : value.toFixed(digits);
}

/** "40 s", "3 min 20 s", "2 h 5 min". */
export function duration(seconds: number): string {
  const rounded = Math.max(0, Math.round(seconds));
  if (rounded < 60) return `${rounded} s`;
  const minutes = Math.floor(rounded / 60);
  if (minutes < 10 && rounded % 60 > 0) return `${minutes} min ${rounded % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return rest === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${rest} min`;
}

/** "just now", "5 min ago", "3 h ago", else the day. */
export function ago(iso: string | null, now: number = Date.now()): string {
  if (iso === null) return NOTHING;
  const then = new Date(iso);
  const seconds = (now - then.getTime()) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return then.toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" });
}

/** "28 Nov 2026, 08:25:06": to the second, so that two pieces of work are told apart. */
export function dateTime(at: number): string {
  const then = new Date(at);
  const day = then.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  return `${day}, ${then.toLocaleTimeString("en-GB", { hourCycle: "h23" })}`;
}

/** "1st", "2nd", "3rd", "11th". */
export function ordinal(value: number): string {
  const ends: Record<string, string> = { one: "st", two: "nd", few: "rd" };
  return `${count(value)}${ends[ordinals.select(value)] ?? "th"}`;
}

export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** "3.2 MB". */
export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1e6) return `${(size / 1e3).toFixed(0)} kB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`;
}
