import { describe, expect, it } from "vitest";
import { droppedFiles, folderOf } from "../../src/ui/dropped";

/** The part of a dropped folder's entry that is read; readEntries answers once, then nothing. */
function folder(path: string, children: FileSystemEntry[]): FileSystemEntry {
  const answers = [children, []];
  const readEntries = (found: (entries: FileSystemEntry[]) => void): void => {
    found(answers.shift() ?? []);
  };
  return { isFile: false, fullPath: path, createReader: () => ({ readEntries }) } as never;
}

function entry(path: string): FileSystemEntry {
  const file = new File(["x"], path.split("/").at(-1) ?? "");
  return { isFile: true, fullPath: path, file: (found: (f: File) => void) => found(file) } as never;
}

const drop = (...entries: FileSystemEntry[]): DataTransfer =>
  ({ items: entries.map((each) => ({ webkitGetAsEntry: () => each })) }) as never;

describe("droppedFiles", () => {
  it("keeps the folder of each file, so that two of one name stay apart", async () => {
    const files = await droppedFiles(
      drop(
        folder("/day", [
          folder("/day/A", [entry("/day/A/f.tif"), entry("/day/A/.hidden")]),
          folder("/day/B", [entry("/day/B/f.tif")]),
        ]),
        entry("/g.tif"),
      ),
    );
    expect(files.map((file) => [folderOf(file), file.name])).toEqual([
      ["day/A", "f.tif"],
      ["day/B", "f.tif"],
      ["", "g.tif"],
    ]);
  });
});
