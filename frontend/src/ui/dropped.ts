/** Files of a drop or a file field, folders opened to any depth, hidden files left out. */

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
    const file = entry as FileSystemFileEntry;
    return [
      await new Promise<File>((resolve, reject) => {
        file.file(resolve, reject);
      }),
    ];
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
