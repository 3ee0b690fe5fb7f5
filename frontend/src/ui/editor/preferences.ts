/**
 * How this person likes to see a data set's images. The server keeps it, so that it is the same
 * at every computer; this browser has a copy, which counts while the server does not have it yet.
 */
import { patchPreferences, readServerPreferences } from "../../api/drafts";
import type { Contrast } from "../../core/intensity";
import { DEFAULT_OVERLAY, type OverlayView, type Palette } from "../../render/settings";
import { session } from "../session.svelte";

export interface ChannelPreference {
  readonly visible: boolean;
  /** Gamma. Under the name `gamma` its inverse was kept before. */
  readonly exponent: number;
  /** In the image's own values; without it each image's own percentiles are taken. */
  readonly contrast?: Contrast;
}

export interface Preferences {
  readonly palette: Palette;
  readonly overlay: OverlayView;
  /** One channel alone is shown in grey. */
  readonly greyAlone: boolean;
  readonly diameter: number;
  /** The last cell type that was given by hand; null: none yet. */
  readonly type: string | null;
  /** By channel role. */
  readonly channels: Readonly<Record<string, ChannelPreference>>;
}

interface Copy {
  readonly values: Partial<Preferences>;
  /** The server does not have these values yet. */
  readonly unsent: boolean;
}

const DEFAULTS: Preferences = {
  palette: "fluorescence",
  overlay: DEFAULT_OVERLAY,
  greyAlone: true,
  diameter: 12,
  type: null,
  channels: {},
};
const SEND_AFTER = 1_500;
/** An image is not kept waiting longer for how it is to be shown. */
const PATIENCE = 3_000;

/** By `keyOf`. What was read from the server since the page was loaded. */
const known = new Set<string>();
const timers = new Map<string, ReturnType<typeof setTimeout>>();
/** What was kept since the page was loaded: the copy where storage is forbidden. */
const copies = new Map<string, Copy>();

export function readPreferences(datasetId: number): Preferences {
  const { values } = readCopy(keyOf(datasetId));
  const overlay = { ...DEFAULTS.overlay, ...values.overlay, shown: true };
  return { ...DEFAULTS, ...values, overlay, channels: channelsOf(values.channels) };
}

export function keepPreferences(datasetId: number, values: Preferences): void {
  const key = keyOf(datasetId);
  keepCopy(key, { values, unsent: true });
  clearTimeout(timers.get(key));
  timers.set(
    key,
    setTimeout(() => void send(datasetId, key), SEND_AFTER),
  );
}

/** Make the browser's copy what the server has, once; what the server lacks is sent instead. */
export async function fetchPreferences(datasetId: number): Promise<void> {
  const key = keyOf(datasetId);
  if (known.has(key)) return;
  if (readCopy(key).unsent) {
    void send(datasetId, key);
    return;
  }
  try {
    const values = await readServerPreferences(datasetId, AbortSignal.timeout(PATIENCE));
    keepCopy(key, { values, unsent: false });
    known.add(key);
  } catch {
    // The copy serves; the next image asks again.
  }
}

async function send(datasetId: number, key: string): Promise<void> {
  // Somebody else may have signed in since: what is theirs is not overwritten.
  if (key !== keyOf(datasetId)) return;
  const { values } = readCopy(key);
  try {
    await patchPreferences(datasetId, values);
    known.add(key);
    // Changed again meanwhile, it is sent again.
    if (readCopy(key).values === values) keepCopy(key, { values, unsent: false });
  } catch {
    // It stays unsent, until the next change or the next visit.
  }
}

function keyOf(datasetId: number): string {
  return `cytoloop.editor.${session.me?.username ?? ""}.${datasetId}`;
}

function readCopy(key: string): Copy {
  const copy = copies.get(key);
  if (copy !== undefined) return copy;
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? "{}") as Partial<Copy>;
    const read = { values: kept.values ?? {}, unsent: kept.unsent ?? false };
    copies.set(key, read);
    return read;
  } catch {
    // Storage forbidden or its content damaged: the defaults serve.
    return { values: {}, unsent: false };
  }
}

function keepCopy(key: string, copy: Copy): void {
  copies.set(key, copy);
  try {
    localStorage.setItem(key, JSON.stringify(copy));
  } catch {
    // Storage forbidden or full: the view is not worth a message.
  }
}

/** A gamma of when a larger one was brighter. */
function turned(gamma = 1): number {
  return Math.round(100 / gamma) / 100;
}

/** Another version of the page may have written them: what makes no sense is left out. */
function channelsOf(said: unknown): Record<string, ChannelPreference> {
  if (typeof said !== "object" || said === null) return {};
  type Kept = Partial<ChannelPreference & { readonly gamma: number }>;
  const found: Record<string, ChannelPreference> = {};
  for (const [role, value] of Object.entries(said as Record<string, Kept>)) {
    const { visible = true, contrast, exponent = turned(value.gamma) } = value;
    const usable = contrast !== undefined && contrast.black < contrast.white;
    found[role] = { visible, exponent, ...(usable ? { contrast } : {}) };
  }
  return found;
}
