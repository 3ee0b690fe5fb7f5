/** Files of a drop or a file field, folders opened to any depth, hidden files left out. */

/** Folders of dropped files: a browser tells those of picked files only. */
const folders = new WeakMap<File, string>();

/** The folder that `file` lay in below what was dropped or picked; empty for a single file. */
export function folderOf(file: File): string {
  // Browsers without pickers of folders lack the property.
  const path = file.webkitRelativePath as string | undefined;
  return folders.get(file) ?? parentOf(path ?? "");
}

/** `a/b` of `/a/b/c.tif`. */
function parentOf(path: string): string {
  return path.split("/").filter(Boolean).slice(0, -1).join("/");
}

/** All files under what was dropped. Must be called while the drop event is being handled. */
export async function droppedFiles(transfer: DataTransfer): Promise<File[]> {
  // The items die when the event handler returns: take every entry before the first await.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const lists = await Promise.all(entries.flatMap((entry) => (entry ? [filesUnder(entry)] : [])));
  return visible(lists.flat());
}

export function pickedFiles(list: FileList | null): File[] {
  return visible([...(list ?? [])]);
}

function visible(files: File[]): File[] {
  return files
    .filter(({ name }) => !name.startsWith(".") && name !== "Thumbs.db")
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

async function filesUnder(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      (entry as FileSystemFileEntry).file(resolve, reject);
    });
    folders.set(file, parentOf(entry.fullPath));
    return [file];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // One call gives at most 100 entries; an empty answer is the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (some.length === 0) return files;
    for (const child of some) files.push(...(await filesUnder(child)));
  }
}
