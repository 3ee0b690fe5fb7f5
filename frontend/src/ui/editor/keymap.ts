/** Which key does what. One list serves the keyboard, the tooltips and the `?` overlay. */
import {
  deleteSelection,
  fillHoles,
  mergeSelection,
  newCell,
  resizeBrush,
  select,
  toggleMode,
  type Command,
} from "../../core/commands";
import {
  dropStrays,
  growSelection,
  restoreFromModel,
  separatePieces,
  shrinkSelection,
} from "../../core/corrections";
import { justDivided } from "../../core/origin";
import type { Decision } from "../../core/review";
import type { ToolName } from "../../tools/tool";
import { toast } from "../toasts.svelte";
import type { Editor } from "./editor.svelte";

/** What the page around the editor can do. */
export interface Desk {
  readonly editor: Editor;
  readonly submit: (andNext: boolean) => void;
  readonly go: (direction: 1 | -1) => void;
  readonly saveDraft: () => void;
  readonly toggleHelp: () => void;
}

export type Group = "Tools" | "Cells" | "View" | "Review" | "Work";

export interface Binding {
  /** Stays the same when names and keys change: a person's own keys are stored by it. */
  readonly id: string;
  /** Those of the default preset. */
  readonly keys: readonly string[];
  readonly name: string;
  readonly group: Group;
  readonly act: (desk: Desk) => void;
  /** Done again when a held key is let go. */
  readonly peeks?: boolean;
  /** A held key does it again and again. */
  readonly repeats?: boolean;
}

type Act = Binding["act"];

type Manner = Pick<Binding, "peeks" | "repeats">;

/** `keys` are separated by spaces. */
function bind(
  id: string,
  group: Group,
  keys: string,
  name: string,
  act: Act,
  manner: Manner = {},
): Binding {
  return { id, keys: keys.split(" "), name, group, act, ...manner };
}

const REPEATS: Manner = { repeats: true };
const PEEKS: Manner = { peeks: true };

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
    if (!editor.reviewing.walk(direction)) toast("The models said nothing of any cell here.");
  };

const decide =
  (decision: Decision): Act =>
  ({ editor }) => {
    editor.reviewing.decide(decision);
  };

/** What was selected besides is deleted as ever. */
const removeReviewed: Act = ({ editor }) => {
  if (editor.reviewing.here) editor.reviewing.decide({ kind: "remove" });
  else editor.run(deleteSelection);
};

const leaveReview: Act = ({ editor }) => {
  if (!editor.cancelGesture()) editor.reviewing.leave();
};

const compare: Act = ({ editor }) => {
  if (!editor.compare()) toast("No model's masks to compare with.");
};

const greyAlone: Act = ({ editor }) => {
  editor.setGreyAlone(!editor.greyAlone);
};

const zoom =
  (factor: number): Act =>
  ({ editor }) => {
    editor.zoomBy(factor);
  };

/** What was split a moment ago is selected, but rather not to be merged again. */
export const mergeOrChoose: Act = ({ editor }) => {
  if (!justDivided(editor.state) && editor.run(mergeSelection)) return;
  editor.chooseTool("merge");
};

/** Once more: not, and the tool from before is in hand again. */
export const startCell: Act = ({ editor }) => {
  editor.run(newCell);
  if (!editor.state.options.startNew) editor.returnTool();
  else if (editor.tool !== "polygon") editor.borrowTool("brush");
};

const cancel: Act = (desk) => {
  const { editor } = desk;
  if (editor.cancelGesture()) return;
  if (editor.state.options.startNew) startCell(desk);
  else editor.run(select([]));
};

const undo: Act = ({ editor }) => {
  editor.undo();
};

const redo: Act = ({ editor }) => {
  editor.redo();
};

const restore: Act = ({ editor }) => {
  editor.run(restoreFromModel(editor.pointer));
};

/** On the selected cells in pieces; without a selection on all of them. */
const onPieces =
  (make: (cells: ReadonlySet<number>) => Command): Command =>
  (state, dispatch) =>
    make(state.selection.size > 0 ? state.selection : state.fragments)(state, dispatch);

const selectAll: Command = (state, dispatch) => {
  const labels = [...state.doc.geometry.entries()].map(([label]) => label);
  return select(labels)(state, dispatch);
};

const TOOLS: readonly Binding[] = [
  bind("select", "Tools", "V", "Select", choose("select")),
  bind("brush", "Tools", "B", "Brush", choose("brush")),
  bind("eraser", "Tools", "E", "Eraser", choose("eraser")),
  bind("polygon", "Tools", "P", "Polygon, or a loop drawn freehand", choose("polygon")),
  bind("wand", "Tools", "W", "Wand: a new cell up to its edge in the image", choose("wand")),
  bind("pick", "Tools", "C", "Pick a missed cell from the segmenter", choose("pick")),
  bind("split", "Tools", "K", "Split by a line, or by seeds and Enter", choose("split")),
  bind("type", "Tools", "T", "Type brush: paint over cells to type them", choose("type")),
  bind("lasso", "Tools", "L", "Lasso: select the cells in a loop", choose("lasso")),
  bind("merge", "Tools", "J", "Merge the selected cells, or by a stroke", mergeOrChoose),
  bind("delete", "Tools", "Q", "Delete by clicking", choose("delete")),
  bind(
    "region",
    "Tools",
    "M",
    "Mark a complete region (with Alt: take a rectangle out)",
    choose("region"),
  ),
  bind("pan", "Tools", "H", "Move the view", choose("pan")),
  bind("smaller", "Tools", "[ ,", "Smaller brush", run(resizeBrush(-1)), REPEATS),
  bind("larger", "Tools", "] .", "Larger brush", run(resizeBrush(1)), REPEATS),
  bind("protect", "Tools", "S", "Protect other cells, or overwrite them", run(toggleMode)),
];

const CELLS: readonly Binding[] = [
  bind("newCell", "Cells", "N", "New cell with the next stroke, or not", startCell),
  bind("fillHoles", "Cells", "F", "Fill holes of the selected cells", run(fillHoles)),
  bind("grow", "Cells", "} >", "Grow the selected cells by a pixel", run(growSelection), REPEATS),
  bind(
    "shrink",
    "Cells",
    "{ <",
    "Shrink the selected cells by a pixel",
    run(shrinkSelection),
    REPEATS,
  ),
  bind("dropStrays", "Cells", "Shift+F", "Drop stray pieces of cells", run(onPieces(dropStrays))),
  bind(
    "separate",
    "Cells",
    "Shift+K",
    "Make each piece a cell of its own",
    run(onPieces(separatePieces)),
  ),
  bind("restore", "Cells", "O", "The model's version of the selected or hovered cell", restore),
  bind("remove", "Cells", "Delete Backspace", "Delete the selected cells", run(deleteSelection)),
  bind("nextUncertain", "Cells", "U", "Review the next uncertain cell", walk(1)),
  bind("previousUncertain", "Cells", "Shift+U", "Review the previous uncertain cell", walk(-1)),
  bind("selectAll", "Cells", "Ctrl+A", "Select all cells", run(selectAll)),
  bind("cancel", "Cells", "Escape", "Cancel, or select nothing", cancel),
];

const VIEW: readonly Binding[] = [
  bind(
    "masks",
    "View",
    "X",
    "Show or hide masks (hold: hide for a moment)",
    overlay("shown"),
    PEEKS,
  ),
  bind("outlines", "View", "Z", "Outlines", overlay("outlines")),
  bind("fill", "View", "Shift+Z", "Fill", overlay("fill")),
  bind("cytoplasm", "View", "G", "Cytoplasm channel (green)", channel("cytoplasm")),
  bind("nucleus", "View", "Shift+B R", "Nucleus channel (blue)", channel("nucleus")),
  bind("cytoplasmAlone", "View", "Shift+G", "Cytoplasm channel alone", channel("cytoplasm", true)),
  bind("nucleusAlone", "View", "Shift+R", "Nucleus channel alone", channel("nucleus", true)),
  bind("greyAlone", "View", "I", "One channel alone in grey, or in its colour", greyAlone),
  bind(
    "compare",
    "View",
    "Y",
    "What was changed in the model's cells (hold: for a moment)",
    compare,
    PEEKS,
  ),
  bind("fitImage", "View", "Home", "Whole image", ({ editor }) => {
    editor.fitImage();
  }),
  bind("actualSize", "View", "Shift+Home", "Actual size", ({ editor }) => {
    editor.actualSize();
  }),
  bind("zoomIn", "View", "+ =", "Zoom in", zoom(1.4), REPEATS),
  bind("zoomOut", "View", "-", "Zoom out", zoom(1 / 1.4), REPEATS),
  bind("help", "View", "?", "This list", (desk) => {
    desk.toggleHelp();
  }),
];

const WORK: readonly Binding[] = [
  bind("undo", "Work", "Ctrl+Z", "Undo", undo, REPEATS),
  bind("redo", "Work", "Ctrl+Shift+Z Ctrl+Y", "Redo", redo, REPEATS),
  // Not bare Enter: it closes polygons and accepts cells, and one press too many must send nothing.
  bind("submit", "Work", "Shift+Enter", "Submit", (desk) => {
    desk.submit(false);
  }),
  bind("submitNext", "Work", "Ctrl+Enter", "Submit and next", (desk) => {
    desk.submit(true);
  }),
  bind("save", "Work", "Ctrl+S", "Keep in this browser now", (desk) => {
    desk.saveDraft();
  }),
  bind("previous", "Work", "A", "Previous image", (desk) => {
    desk.go(-1);
  }),
  bind("next", "Work", "D", "Next image", (desk) => {
    desk.go(1);
  }),
];

export const BINDINGS: readonly Binding[] = [...TOOLS, ...CELLS, ...VIEW, ...WORK];

/** While cells are reviewed these keys come first; all others do what they always do. */
export const REVIEW_BINDINGS: readonly Binding[] = [
  bind("accept", "Review", "Enter", "Accept the cell; the next comes", decide({ kind: "accept" })),
  bind("reject", "Review", "Delete", "Delete the cell; the next comes", removeReviewed),
  bind("back", "Review", "Backspace", "Back to the cell before", ({ editor }) => {
    editor.reviewing.back();
  }),
  bind("leave", "Review", "Escape", "Leave the review", leaveReview),
];

/** CSS pixels by which a key moves the image. */
const PAN_STEP = 80;
export const PAN_KEYS: Readonly<Record<string, readonly [dx: number, dy: number]>> = {
  ArrowLeft: [PAN_STEP, 0],
  ArrowRight: [-PAN_STEP, 0],
  ArrowUp: [0, PAN_STEP],
  ArrowDown: [0, -PAN_STEP],
};

/** Digits give types, Space and arrows move the view: no other binding can have them. */
export function isTaken(key: string): boolean {
  return /^\d$/.test(key) || key === " " || key in PAN_KEYS;
}

/** Keys handled elsewhere, listed for the overlay. */
export const GESTURES: readonly { keys: string; name: string; group: Group }[] = [
  {
    keys: "1 … 9",
    name: "Type of the selected or hovered cell, else of the brush",
    group: "Cells",
  },
  { keys: "0", name: "No type", group: "Cells" },
  { keys: "1 … 9, 0", name: "Give the type; the next comes", group: "Review" },
  { keys: "Shift+click", name: "Add to or take from the selection", group: "Cells" },
  { keys: "Alt+drag", name: "Lasso while selecting", group: "Cells" },
  { keys: "Drag or [ ]", name: "Wand: more or less, while the button is held", group: "Tools" },
  { keys: "Pen", name: "Pressure sets the brush size; its other end erases", group: "Tools" },
  { keys: "Space+drag", name: "Move the view (also middle button)", group: "View" },
  { keys: "← ↑ → ↓", name: "Look further to one side", group: "View" },
  { keys: "Wheel", name: "Zoom to the cursor", group: "View" },
  { keys: "Alt+wheel", name: "Brush size", group: "Tools" },
  { keys: "Right drag", name: "Erase while the brush is chosen", group: "Tools" },
  {
    keys: "Shift+click",
    name: "In a polygon: it is added to the selected cell",
    group: "Tools",
  },
  { keys: "Alt+click", name: "In a polygon: it is cut from the selected cell", group: "Tools" },
];

export interface KeyPress {
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
