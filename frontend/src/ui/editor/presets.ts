/** Keys that people bring along from other programs. Digits, Space and arrows stay as they are. */

export const PRESETS = ["default", "cellpose", "napari", "CVAT"] as const;
export type Preset = (typeof PRESETS)[number];

/** By the binding's id, separated by spaces; what is not named has its default keys. */
export const PRESET_KEYS: Readonly<Record<Preset, Readonly<Record<string, string>>>> = {
  default: {},
  // R, G, B show channels; painting begins with the right mouse button there.
  cellpose: {
    brush: "Shift+B",
    nucleus: "B R",
    cytoplasm: "G",
    smaller: ", [",
    larger: ". ]",
    previous: "A",
    next: "D",
  },
  napari: {
    brush: "P",
    polygon: "Shift+P",
    select: "L",
    lasso: "Shift+L",
    pan: "Z",
    masks: "V",
    outlines: "Shift+O",
    newCell: "M",
    region: "Shift+M",
    protect: "B",
    nucleus: "R",
  },
  CVAT: {
    previous: "D",
    next: "F",
    newCell: "N",
    merge: "M",
    split: "Shift+M",
    masks: "H",
    pan: "Shift+H",
    region: "A",
    fillHoles: "Shift+N",
  },
};
