/** One instance of each tool. */
import { Brush } from "./brush";
import { Delete } from "./delete";
import { Eraser } from "./eraser";
import { Merge } from "./merge";
import { Pan } from "./pan";
import { Polygon } from "./polygon";
import { Select } from "./select";
import type { Tool, ToolName } from "./tool";

export function createTools(): Record<ToolName, Tool> {
  return {
    select: new Select(),
    brush: new Brush(),
    eraser: new Eraser(),
    polygon: new Polygon(),
    merge: new Merge(),
    delete: new Delete(),
    pan: new Pan(),
  };
}
