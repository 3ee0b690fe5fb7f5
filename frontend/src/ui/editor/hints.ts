/** What the tool in hand does next, in the line below the image. */
import type { Options } from "../../core/state";
import type { ToolName } from "../../tools/tool";
import type { Editor } from "./editor.svelte";

type Hinted = Pick<Editor, "tool" | "tools" | "state">;

const POLYGON_ON_SELECTION = "Shift: add to the selected cell; Alt: cut from it";

/** Null where nothing needs to be said. */
export function hintOf(editor: Hinted): string | null {
  const { tool, tools, state } = editor;
  const selected = state.selection.size > 0;
  if (!tools[tool].busy) return idleHint(tool, selected, state.options);
  if (tool === "split")
    return "Enter splits between the seeds · Backspace takes back the last · Esc gives up";
  if (tool !== "polygon") return null;
  if (selected) return `${POLYGON_ON_SELECTION} · Enter closes · Esc gives up`;
  return "Enter or the first point closes · Backspace takes back a point · Esc gives up";
}

function idleHint(tool: ToolName, selected: boolean, options: Options): string | null {
  switch (tool) {
    case "polygon":
      return selected ? POLYGON_ON_SELECTION : null;
    case "brush":
      return options.startNew
        ? "The next stroke is a new cell"
        : "Start in a cell to extend it; on the background a new cell begins";
    case "merge":
      return "Draw a stroke over the cells to merge";
    case "type":
      return `Paint over cells: ${options.paintType ?? "No type"} · 1 … 9 another type · 0 no type`;
    default:
      return null;
  }
}
