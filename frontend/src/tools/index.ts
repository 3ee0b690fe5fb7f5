/** One instance of each tool. */
import { Brush } from "./brush";
import { Delete } from "./delete";
import { Eraser } from "./eraser";
import { Merge } from "./merge";
import { Pan } from "./pan";
import { Pick } from "./pick";
import { Polygon } from "./polygon";
import { RegionTool } from "./region";
import { Select } from "./select";
import { Split } from "./split";
import type { Tool, ToolName } from "./tool";
import { TypeBrush } from "./typeBrush";
import { Wand } from "./wand";

/** A click with these removes or retypes a cell: nobody meets them unasked on the next image. */
const NOT_CARRIED: ReadonlySet<ToolName> = new Set(["delete", "type"]);

export function toolForNext(tool: ToolName): ToolName {
  return NOT_CARRIED.has(tool) ? "select" : tool;
}

export function createTools(): Record<ToolName, Tool> {
  return {
    select: new Select(),
    lasso: new Select("lasso"),
    brush: new Brush(),
    eraser: new Eraser(),
    polygon: new Polygon(),
    wand: new Wand(),
    pick: new Pick(),
    split: new Split(),
    merge: new Merge(),
    type: new TypeBrush(),
    delete: new Delete(),
    region: new RegionTool(),
    pan: new Pan(),
  };
}
