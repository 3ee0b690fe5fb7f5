/** Types given by a person: by a digit, by the list of types or by the type brush. */
import { assignType } from "../../core/commands";
import type { Dataset } from "../../api/types";
import type { Editor } from "./editor.svelte";

/** What the type brush gives at first: never "no type", which would strip types unasked. */
export function firstPaintType(
  { types }: Pick<Dataset, "types">,
  culture: string | null,
  lastUsed: string | null,
): string | null {
  if (culture !== null) return culture;
  const known = types.find(({ name }) => name === lastUsed) ?? types[0];
  return known?.name ?? null;
}

/** The type brush begins with it, now and on later images. */
export function noteType(editor: Editor, type: string | null): void {
  if (type !== null) editor.dispatch({ kind: "set", options: { paintType: type } });
}

/**
 * Give a type to the cell under review, or to the selected or hovered cells; else newly drawn ones
 * have it. With the type brush in hand it changes what the brush gives, and nothing else.
 */
export function chooseType(editor: Editor, type: string | null): void {
  if (editor.reviewing.here) {
    noteType(editor, type);
    editor.reviewing.decide({ kind: "retype", type });
    return;
  }
  if (editor.tool === "type") {
    editor.dispatch({ kind: "set", options: { paintType: type } });
    return;
  }
  noteType(editor, type);
  const { selection } = editor.state;
  const hovered = editor.hover === 0 ? [] : [editor.hover];
  const targets = selection.size > 0 ? [...selection] : hovered;
  if (targets.length > 0) editor.run(assignType(targets, type));
  else {
    const brushMeta = { type, source: type === null ? ("" as const) : ("human" as const) };
    editor.dispatch({ kind: "set", options: { brushMeta } });
  }
}
