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
} from "../../core/commands";
import type { Editor } from "./editor.svelte";

/** What the page around the editor can do. */
export interface Desk {
  readonly editor: Editor;
  readonly submit: (andNext: boolean) => void;
  readonly askSkip: () => void;
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

function chooseMerge({ editor }: Desk): void {
  if (!editor.run(mergeSelection)) editor.chooseTool("merge");
}

function channelNamed(editor: Editor, role: string): void {
  editor.toggleChannel(editor.channels.findIndex((channel) => channel.role === role));
}

const TOOLS: readonly Binding[] = [
  {
    keys: ["V"],
    name: "Select",
    group: "Tools",
    act: (d) => {
      d.editor.chooseTool("select");
    },
  },
  {
    keys: ["B"],
    name: "Brush",
    group: "Tools",
    act: (d) => {
      d.editor.chooseTool("brush");
    },
  },
  {
    keys: ["E"],
    name: "Eraser",
    group: "Tools",
    act: (d) => {
      d.editor.chooseTool("eraser");
    },
  },
  {
    keys: ["P"],
    name: "Polygon or lasso",
    group: "Tools",
    act: (d) => {
      d.editor.chooseTool("polygon");
    },
  },
  {
    keys: ["J"],
    name: "Merge the selected cells, or by a stroke",
    group: "Tools",
    act: chooseMerge,
  },
  {
    keys: ["Q"],
    name: "Delete by clicking",
    group: "Tools",
    act: (d) => {
      d.editor.chooseTool("delete");
    },
  },
  {
    keys: ["H"],
    name: "Move the view",
    group: "Tools",
    act: (d) => {
      d.editor.chooseTool("pan");
    },
  },
  {
    keys: ["[", ","],
    name: "Smaller brush",
    group: "Tools",
    act: (d) => {
      d.editor.run(resizeBrush(-1));
    },
  },
  {
    keys: ["]", "."],
    name: "Larger brush",
    group: "Tools",
    act: (d) => {
      d.editor.run(resizeBrush(1));
    },
  },
  {
    keys: ["M"],
    name: "Protect other cells, or overwrite them",
    group: "Tools",
    act: (d) => {
      d.editor.run(toggleMode);
    },
  },
];

const CELLS: readonly Binding[] = [
  {
    keys: ["N"],
    name: "New cell with the next stroke",
    group: "Cells",
    act: (d) => {
      d.editor.run(newCell);
      if (d.editor.tool !== "polygon") d.editor.chooseTool("brush");
    },
  },
  {
    keys: ["F"],
    name: "Fill holes of the selected cells",
    group: "Cells",
    act: (d) => {
      d.editor.run(fillHoles);
    },
  },
  {
    keys: ["Delete", "Backspace"],
    name: "Delete the selected cells",
    group: "Cells",
    act: (d) => {
      d.editor.run(deleteSelection);
    },
  },
  {
    keys: ["U"],
    name: "Next uncertain cell",
    group: "Cells",
    act: (d) => {
      walk(d, 1);
    },
  },
  {
    keys: ["Shift+U"],
    name: "Previous uncertain cell",
    group: "Cells",
    act: (d) => {
      walk(d, -1);
    },
  },
  {
    keys: ["Ctrl+A"],
    name: "Select all cells",
    group: "Cells",
    act: ({ editor }) => {
      editor.run(select([...editor.state.doc.geometry.entries()].map(([label]) => label)));
    },
  },
  {
    keys: ["Escape"],
    name: "Cancel, or select nothing",
    group: "Cells",
    act: ({ editor }) => {
      if (!editor.cancelGesture()) editor.run(select([]));
    },
  },
];

const VIEW: readonly Binding[] = [
  {
    keys: ["X"],
    name: "Show or hide masks (hold: hide for a moment)",
    group: "View",
    act: ({ editor }) => {
      editor.setOverlay({ shown: !editor.overlay.shown });
    },
  },
  {
    keys: ["Z"],
    name: "Outlines",
    group: "View",
    act: ({ editor }) => {
      editor.setOverlay({ outlines: !editor.overlay.outlines });
    },
  },
  {
    keys: ["Shift+Z"],
    name: "Fill",
    group: "View",
    act: ({ editor }) => {
      editor.setOverlay({ fill: !editor.overlay.fill });
    },
  },
  {
    keys: ["G"],
    name: "Cytoplasm channel (green)",
    group: "View",
    act: ({ editor }) => {
      channelNamed(editor, "cytoplasm");
    },
  },
  {
    keys: ["Shift+B", "R"],
    name: "Nucleus channel (blue)",
    group: "View",
    act: ({ editor }) => {
      channelNamed(editor, "nucleus");
    },
  },
  {
    keys: ["Home"],
    name: "Whole image",
    group: "View",
    act: ({ editor }) => {
      editor.fitImage();
    },
  },
  {
    keys: ["Shift+Home"],
    name: "Actual size",
    group: "View",
    act: ({ editor }) => {
      editor.actualSize();
    },
  },
  {
    keys: ["+", "="],
    name: "Zoom in",
    group: "View",
    act: ({ editor }) => {
      editor.zoomBy(1.4);
    },
  },
  {
    keys: ["-"],
    name: "Zoom out",
    group: "View",
    act: ({ editor }) => {
      editor.zoomBy(1 / 1.4);
    },
  },
  {
    keys: ["?"],
    name: "This list",
    group: "View",
    act: (d) => {
      d.toggleHelp();
    },
  },
];

const WORK: readonly Binding[] = [
  {
    keys: ["Ctrl+Z"],
    name: "Undo",
    group: "Work",
    act: (d) => {
      d.editor.run(undo);
    },
  },
  {
    keys: ["Ctrl+Shift+Z", "Ctrl+Y"],
    name: "Redo",
    group: "Work",
    act: (d) => {
      d.editor.run(redo);
    },
  },
  {
    keys: ["Enter"],
    name: "Submit",
    group: "Work",
    act: (d) => {
      d.submit(false);
    },
  },
  {
    keys: ["Ctrl+Enter"],
    name: "Submit and next",
    group: "Work",
    act: (d) => {
      d.submit(true);
    },
  },
  {
    keys: ["Ctrl+S"],
    name: "Keep in this browser now",
    group: "Work",
    act: (d) => {
      d.saveDraft();
    },
  },
  {
    keys: ["A"],
    name: "Previous image",
    group: "Work",
    act: (d) => {
      d.go(-1);
    },
  },
  {
    keys: ["D"],
    name: "Next image",
    group: "Work",
    act: (d) => {
      d.go(1);
    },
  },
];

export const BINDINGS: readonly Binding[] = [...TOOLS, ...CELLS, ...VIEW, ...WORK];

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
  { keys: "Wheel", name: "Zoom to the cursor", group: "View" },
  { keys: "Alt+wheel", name: "Brush size", group: "Tools" },
  { keys: "Right drag", name: "Erase while the brush is chosen", group: "Tools" },
  { keys: "Shift or Alt+P", name: "Polygon: add to or cut from the selected cell", group: "Tools" },
];

function walk({ editor }: Desk, direction: 1 | -1): void {
  if (editor.run(nextUncertain(direction))) editor.centreOnSelection();
}

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

const BY_KEY = new Map(BINDINGS.flatMap((binding) => binding.keys.map((key) => [key, binding])));

export function bindingOf(press: KeyPress): Binding | undefined {
  return BY_KEY.get(keyName(press));
}

/** The first key of a binding by its name, for tooltips. */
export function keyFor(name: string): string {
  return BINDINGS.find((binding) => binding.name === name)?.keys[0] ?? "";
}
