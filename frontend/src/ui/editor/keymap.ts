/** Which key does what. One list serves the keyboard, the tooltips and the `?` overlay. */
import {
  deleteSelection,
  fillHoles,
  mergeSelection,
  newCell,
  nextUncertain,
  redo,
  resizeBrush,
  select,
  toggleMode,
  undo,
  type Command,
} from "../../core/commands";
import type { ToolName } from "../../tools/tool";
import type { Editor } from "./editor.svelte";

/** What the page around the editor can do. */
export interface Desk {
  readonly editor: Editor;
  readonly submit: (andNext: boolean) => void;
  readonly go: (direction: 1 | -1) => void;
  readonly saveDraft: () => void;
  readonly toggleHelp: () => void;
}

export type Group = "Tools" | "Cells" | "View" | "Work";

export interface Binding {
  readonly keys: readonly string[];
  readonly name: string;
  readonly group: Group;
  readonly act: (desk: Desk) => void;
}

type Act = Binding["act"];

/** `keys` are separated by spaces. */
function bind(group: Group, keys: string, name: string, act: Act): Binding {
  return { keys: keys.split(" "), name, group, act };
}

const run =
  (command: Command): Act =>
  ({ editor }) => {
    editor.run(command);
  };

const choose =
  (tool: ToolName): Act =>
  ({ editor }) => {
    editor.chooseTool(tool);
  };

const overlay =
  (part: "shown" | "outlines" | "fill"): Act =>
  ({ editor }) => {
    editor.setOverlay({ [part]: !editor.overlay[part] });
  };

const channel =
  (role: string, alone = false): Act =>
  ({ editor }) => {
    const index = editor.channels.findIndex((candidate) => candidate.role === role);
    if (alone) editor.showOnly(index);
    else editor.toggleChannel(index);
  };

const walk =
  (direction: 1 | -1): Act =>
  ({ editor }) => {
    if (editor.run(nextUncertain(direction))) editor.centreOnSelection();
  };

const zoom =
  (factor: number): Act =>
  ({ editor }) => {
    editor.zoomBy(factor);
  };

export const mergeOrChoose: Act = ({ editor }) => {
  if (!editor.run(mergeSelection)) editor.chooseTool("merge");
};

export const startCell: Act = ({ editor }) => {
  editor.run(newCell);
  const { startNew } = editor.state.options;
  if (startNew && editor.tool !== "polygon") editor.chooseTool("brush");
};

const cancel: Act = ({ editor }) => {
  if (editor.cancelGesture()) return;
  if (editor.state.options.startNew) editor.run(newCell);
  else editor.run(select([]));
};

const selectAll: Command = (state, dispatch) => {
  const labels = [...state.doc.geometry.entries()].map(([label]) => label);
  return select(labels)(state, dispatch);
};

const TOOLS: readonly Binding[] = [
  bind("Tools", "V", "Select", choose("select")),
  bind("Tools", "B", "Brush", choose("brush")),
  bind("Tools", "E", "Eraser", choose("eraser")),
  bind("Tools", "P", "Polygon or lasso", choose("polygon")),
  bind("Tools", "J", "Merge the selected cells, or by a stroke", mergeOrChoose),
  bind("Tools", "Q", "Delete by clicking", choose("delete")),
  bind("Tools", "H", "Move the view", choose("pan")),
  bind("Tools", "[ ,", "Smaller brush", run(resizeBrush(-1))),
  bind("Tools", "] .", "Larger brush", run(resizeBrush(1))),
  bind("Tools", "M", "Protect other cells, or overwrite them", run(toggleMode)),
];

const CELLS: readonly Binding[] = [
  bind("Cells", "N", "New cell with the next stroke, or not", startCell),
  bind("Cells", "F", "Fill holes of the selected cells", run(fillHoles)),
  bind("Cells", "Delete Backspace", "Delete the selected cells", run(deleteSelection)),
  bind("Cells", "U", "Next uncertain cell", walk(1)),
  bind("Cells", "Shift+U", "Previous uncertain cell", walk(-1)),
  bind("Cells", "Ctrl+A", "Select all cells", run(selectAll)),
  bind("Cells", "Escape", "Cancel, or select nothing", cancel),
];

const VIEW: readonly Binding[] = [
  bind("View", "X", "Show or hide masks (hold: hide for a moment)", overlay("shown")),
  bind("View", "Z", "Outlines", overlay("outlines")),
  bind("View", "Shift+Z", "Fill", overlay("fill")),
  bind("View", "G", "Cytoplasm channel (green)", channel("cytoplasm")),
  bind("View", "Shift+B R", "Nucleus channel (blue)", channel("nucleus")),
  bind("View", "Shift+G", "Cytoplasm channel alone", channel("cytoplasm", true)),
  bind("View", "Shift+R", "Nucleus channel alone", channel("nucleus", true)),
  bind("View", "Home", "Whole image", ({ editor }) => {
    editor.fitImage();
  }),
  bind("View", "Shift+Home", "Actual size", ({ editor }) => {
    editor.actualSize();
  }),
  bind("View", "+ =", "Zoom in", zoom(1.4)),
  bind("View", "-", "Zoom out", zoom(1 / 1.4)),
  bind("View", "?", "This list", (desk) => {
    desk.toggleHelp();
  }),
];

const WORK: readonly Binding[] = [
  bind("Work", "Ctrl+Z", "Undo", run(undo)),
  bind("Work", "Ctrl+Shift+Z Ctrl+Y", "Redo", run(redo)),
  bind("Work", "Enter", "Submit", (desk) => {
    desk.submit(false);
  }),
  bind("Work", "Ctrl+Enter", "Submit and next", (desk) => {
    desk.submit(true);
  }),
  bind("Work", "Ctrl+S", "Keep in this browser now", (desk) => {
    desk.saveDraft();
  }),
  bind("Work", "A", "Previous image", (desk) => {
    desk.go(-1);
  }),
  bind("Work", "D", "Next image", (desk) => {
    desk.go(1);
  }),
];

export const BINDINGS: readonly Binding[] = [...TOOLS, ...CELLS, ...VIEW, ...WORK];

/** CSS pixels by which a key moves the image. */
const PAN_STEP = 80;
export const PAN_KEYS: Readonly<Record<string, readonly [dx: number, dy: number]>> = {
  ArrowLeft: [PAN_STEP, 0],
  ArrowRight: [-PAN_STEP, 0],
  ArrowUp: [0, PAN_STEP],
  ArrowDown: [0, -PAN_STEP],
};

/** Keys handled elsewhere, listed for the overlay. */
export const GESTURES: readonly { keys: string; name: string; group: Group }[] = [
  {
    keys: "1 … 9",
    name: "Type of the selected or hovered cell, else of the brush",
    group: "Cells",
  },
  { keys: "0", name: "No type", group: "Cells" },
  { keys: "Shift+click", name: "Add to or take from the selection", group: "Cells" },
  { keys: "Space+drag", name: "Move the view (also middle button)", group: "View" },
  { keys: "← ↑ → ↓", name: "Look further to one side", group: "View" },
  { keys: "Wheel", name: "Zoom to the cursor", group: "View" },
  { keys: "Alt+wheel", name: "Brush size", group: "Tools" },
  { keys: "Right drag", name: "Erase while the brush is chosen", group: "Tools" },
  { keys: "Shift or Alt+P", name: "Polygon: add to or cut from the selected cell", group: "Tools" },
];

interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
}

/** "Ctrl+Shift+Z", "[", "?": Shift is named only where the key itself does not tell it. */
export function keyName({ key, ctrlKey, metaKey, shiftKey }: KeyPress): string {
  const letter = /^[a-z]$/i.test(key);
  const named = key.length > 1;
  const prefix =
    (ctrlKey || metaKey ? "Ctrl+" : "") + (shiftKey && (letter || named) ? "Shift+" : "");
  return prefix + (letter ? key.toUpperCase() : key);
}

/** "Ctrl+Z" in the words of aria-keyshortcuts. */
export function ariaKey(key: string): string {
  return key.replace("Ctrl+", "Control+");
}

const BY_KEY = new Map(BINDINGS.flatMap((binding) => binding.keys.map((key) => [key, binding])));

export function bindingOf(press: KeyPress): Binding | undefined {
  return BY_KEY.get(keyName(press));
}
