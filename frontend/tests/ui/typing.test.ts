// @vitest-environment jsdom
/** What digits and the type brush give, and what is remembered of it. */
import { beforeEach, expect, it } from "vitest";
import { Editor } from "../../src/ui/editor/editor.svelte";
import { hintOf } from "../../src/ui/editor/hints";
import type { Opened } from "../../src/ui/editor/opening";
import { chooseType } from "../../src/ui/editor/typing";
import { toolForNext } from "../../src/tools";
import { opened } from "./opened";

let dataset = {
  id: 100,
  name: "demo",
  types: [
    { id: 1, name: "HEK", color: "#ff0000" },
    { id: 2, name: "N2a", color: "#00ff00" },
  ],
} as unknown as Opened["dataset"];
const open = (over: Partial<Opened> = {}): Editor =>
  new Editor(opened({ dataset, ...over }, ["11.22"]), false);
const gives = (editor: Editor): string | null => editor.state.options.paintType;
const typeOf = (editor: Editor, label: number) => editor.state.doc.meta.get(label)?.type;

beforeEach(() => {
  // Preferences are kept by data set, as long as the page is.
  dataset = { ...dataset, id: dataset.id + 1 };
});

it("the type brush starts with the first type, later with the last one used", () => {
  const editor = open();
  expect(gives(editor)).toBe("HEK");
  editor.dispatch({ kind: "select", selection: new Set([2]) });
  chooseType(editor, "N2a");
  expect([typeOf(editor, 2), gives(editor), gives(open())]).toEqual(["N2a", "N2a", "N2a"]);
});

it("no type is a choice for this image only, and newly drawn cells stay as they were", () => {
  const editor = open();
  editor.chooseTool("type");
  expect(hintOf(editor)).toContain("Paint over cells: HEK");
  chooseType(editor, "N2a");
  chooseType(editor, null);
  expect([gives(editor), gives(open())]).toEqual([null, "N2a"]);
  expect(hintOf(editor)).toContain("No type");
  expect(editor.state.options.brushMeta).toEqual({ type: null, source: "" });
  expect(editor.state.history.done).toEqual([]);
});

it("taking a type away by 0 leaves the type brush as it is", () => {
  const editor = open();
  editor.dispatch({ kind: "select", selection: new Set([1]) });
  chooseType(editor, null);
  expect([typeOf(editor, 1), gives(editor)]).toEqual([null, "HEK"]);
});

it("a culture of one type is what the type brush gives; a type that is gone is forgotten", () => {
  chooseType(open(), "N2a");
  const image = { ...opened().image, culture: "HEK" };
  expect(gives(open({ image }))).toBe("HEK");
  const types = dataset.types.slice(0, 1);
  expect(gives(open({ dataset: { ...dataset, types } }))).toBe("HEK");
});

it("tools that remove or retype at a click are not carried to the next image", () => {
  const tools = ["delete", "type", "brush", "eraser", "polygon", "split"] as const;
  expect(tools.map(toolForNext)).toEqual([
    ...["select", "select", "brush", "eraser", "polygon", "split"],
  ]);
});
