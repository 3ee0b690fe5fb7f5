/** How this person likes to see a data set's images; kept in this browser. */
import { DEFAULT_OVERLAY, type OverlayView, type Palette } from "../../render/settings";

export interface Preferences {
  readonly palette: Palette;
  readonly overlay: OverlayView;
  readonly diameter: number;
  /** By channel role. */
  readonly channels: Readonly<
    Record<string, { readonly visible: boolean; readonly gamma: number }>
  >;
}

const DEFAULTS: Preferences = {
  palette: "fluorescence",
  overlay: DEFAULT_OVERLAY,
  diameter: 12,
  channels: {},
};

function keyOf(datasetId: number): string {
  return `cytoloop.editor.${datasetId}`;
}

export function readPreferences(datasetId: number): Preferences {
  try {
    const kept = JSON.parse(localStorage.getItem(keyOf(datasetId)) ?? "{}") as Partial<Preferences>;
    const overlay = { ...DEFAULTS.overlay, ...kept.overlay, shown: true };
    return { ...DEFAULTS, ...kept, overlay };
  } catch {
    // Storage forbidden or its content damaged: the defaults serve.
    return DEFAULTS;
  }
}

export function keepPreferences(datasetId: number, preferences: Preferences): void {
  try {
    localStorage.setItem(keyOf(datasetId), JSON.stringify(preferences));
  } catch {
    // Storage forbidden or full: the view is not worth a message.
  }
}
