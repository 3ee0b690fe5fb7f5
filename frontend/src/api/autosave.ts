/**
 * Work kept in the browser (IndexedDB), one draft per person and image: a crash, a lost session
 * or a server that is gone costs nothing.
 */
import type { EncodedLabels } from "./labels";

export interface Draft {
  /** `username/imageId` */
  readonly key: string;
  /** The head revision's tag when the work began. */
  readonly etag: string;
  /** The prediction the work began with; null when it began with a revision or with nothing. */
  readonly prediction: number | null;
  /** The highest label ever given in it, also to a cell deleted since. */
  readonly highest: number;
  /** How many edits it holds. */
  readonly edits: number;
  readonly width: number;
  readonly height: number;
  readonly labels: EncodedLabels;
  readonly cells: readonly { label: number; type: string | null; source: string }[];
  readonly secondsSpent: number;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
}

const DATABASE = "cytoloop";
const STORE = "drafts";

export function draftKey(username: string, imageId: number): string {
  return `${username}/${imageId}`;
}

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore(STORE, { keyPath: "key" });
    };
    asked.onsuccess = () => {
      resolve(asked.result);
    };
    asked.onerror = () => {
      opened = null;
      reject(asked.error ?? new Error("The browser's storage cannot be opened."));
    };
  });
  return opened;
}

/** Run one request on the store and wait until it is safely on disk. */
async function run<T>(
  mode: IDBTransactionMode,
  ask: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const transaction = (await database()).transaction(STORE, mode);
  const request = ask(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => {
      resolve(request.result);
    };
    const fail = (): void => {
      reject(transaction.error ?? new Error("The browser's storage is full or blocked."));
    };
    transaction.onabort = fail;
    transaction.onerror = fail;
  });
}

export async function keepDraft(draft: Draft): Promise<void> {
  await run("readwrite", (store) => store.put(draft));
}

export async function findDraft(key: string): Promise<Draft | null> {
  const found = await run("readonly", (store) => store.get(key) as IDBRequest<Draft | undefined>);
  return found ?? null;
}

export async function dropDraft(key: string): Promise<void> {
  await run("readwrite", (store) => store.delete(key) as IDBRequest<unknown>);
}
