/**
 * Work kept in the browser (IndexedDB), one journal per person and image: where the work began,
 * and every gesture since, each written as it is made. A crash, a lost session or a server that
 * is gone costs nothing.
 */
import type { CellMeta, MaskDocument } from "../core/document";
import type { Entry } from "../core/journal";
import type { EncodedLabels } from "./labels";

/** The document that the entries start from, and where it came from. */
export interface JournalBase {
  /** `username/imageId` */
  readonly key: string;
  /** The window that writes it; two windows must not write one journal. */
  readonly writer: string;
  /** The head revision's tag when the work began. */
  readonly etag: string;
  /** The prediction the work began with; null when it began with a revision or with nothing. */
  readonly prediction: number | null;
  readonly width: number;
  readonly height: number;
  readonly labels: EncodedLabels;
  readonly cells: readonly (readonly [label: number, meta: CellMeta])[];
  /** The highest label ever given in it, also to a cell deleted since. */
  readonly highest: number;
  readonly regions: MaskDocument["regions"];
}

/** Work of one window, as it was at one moment. */
export interface Trace {
  readonly writer: string;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
}

/** What is true after the latest entry. */
export interface JournalMark {
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  /** How many edits the server does not have as a revision. */
  readonly edits: number;
  readonly secondsSpent: number;
  /** The work of other windows that it went on with. */
  readonly lineage: readonly Trace[];
}

export interface Journal {
  readonly base: JournalBase;
  readonly mark: JournalMark;
  readonly entries: readonly Entry[];
}

/** The journal belongs to another window by now. */
export class TakenOver extends Error {
  constructor() {
    super("This image is open in another tab, which keeps the work from now on.");
    this.name = "TakenOver";
  }
}

const DATABASE = "cytoloop";
const VERSION = 3;
const BASES = "bases";
const ENTRIES = "entries";
const STORES = [BASES, ENTRIES];

/** One entry as it is stored, with what is true after it. */
interface Row {
  readonly key: string;
  readonly writer: string;
  readonly entry: Entry;
  readonly mark: JournalMark;
}

interface BaseRow extends JournalBase {
  readonly mark: JournalMark;
}

export function journalKey(username: string, imageId: number): string {
  return `${username}/${imageId}`;
}

/** Bring the database to VERSION. What a released version kept is work: it must stay. */
export function upgrade(database: IDBDatabase, oldVersion: number): void {
  // Versions before 3 were never released.
  if (oldVersion >= 3) return;
  for (const name of [...database.objectStoreNames]) database.deleteObjectStore(name);
  database.createObjectStore(BASES, { keyPath: "key" });
  database.createObjectStore(ENTRIES, { autoIncrement: true }).createIndex("key", "key");
}

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, VERSION);
    asked.onupgradeneeded = ({ oldVersion }) => {
      upgrade(asked.result, oldVersion);
    };
    asked.onsuccess = () => {
      asked.result.onversionchange = closed;
      asked.result.onclose = closed;
      resolve(asked.result);
    };
    asked.onerror = () => {
      opened = null;
      reject(asked.error ?? new Error("The browser's storage cannot be opened."));
    };
  });
  return opened;
}

/** The browser took the database away: the next call opens it again. */
function closed(this: IDBDatabase): void {
  this.close();
  opened = null;
}

/** Do `work` in one transaction and wait until it is safely on disk. */
async function inTransaction(
  mode: IDBTransactionMode,
  work: (transaction: IDBTransaction) => void,
): Promise<void> {
  const transaction = (await database()).transaction(STORES, mode);
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => {
      resolve();
    };
    const fail = (): void => {
      reject(transaction.error ?? new Error("The browser's storage is full or blocked."));
    };
    transaction.onabort = fail;
    transaction.onerror = fail;
    work(transaction);
  });
}

/**
 * Write a journal anew, in place of the one before. Rejects with TakenOver, and writes nothing,
 * where that one's writer is not among `replaceable`; without these it may be anybody's.
 */
export async function writeJournal(
  { base, mark, entries }: Journal,
  replaceable?: readonly string[],
): Promise<void> {
  const { key, writer } = base;
  let owner: string | undefined;
  const mayReplace = (): boolean =>
    owner === undefined || replaceable === undefined || replaceable.includes(owner);
  await inTransaction("readwrite", (transaction) => {
    const bases = transaction.objectStore(BASES);
    const asked = bases.get(key) as IDBRequest<BaseRow | undefined>;
    const clear = (cursor: IDBCursorWithValue): void => {
      cursor.delete();
    };
    asked.onsuccess = () => {
      owner = asked.result?.writer;
      if (!mayReplace()) return;
      eachRow(transaction, key, clear, () => {
        bases.put({ ...base, mark });
        addRows(transaction, { key, writer, mark }, entries);
      });
    };
  });
  if (!mayReplace()) throw new TakenOver();
}

/**
 * Add what was done since. False when there is no journal any more (it was submitted or
 * discarded elsewhere): then it must be written anew. Rejects with TakenOver; what a window adds
 * to another one's journal is no part of it.
 */
export async function appendToJournal(
  { key, writer }: Pick<JournalBase, "key" | "writer">,
  mark: JournalMark,
  entries: readonly Entry[],
): Promise<boolean> {
  let found: BaseRow | undefined;
  await inTransaction("readwrite", (transaction) => {
    const asked = transaction.objectStore(BASES).get(key) as IDBRequest<typeof found>;
    asked.onsuccess = () => (found = asked.result);
    addRows(transaction, { key, writer, mark }, entries);
    // Without waiting for answers: it is on its way even if the page dies with the next frame.
    transaction.commit();
  });
  if (found === undefined) return false;
  if (found.writer !== writer) throw new TakenOver();
  return true;
}

export async function findJournal(key: string): Promise<Journal | null> {
  let found: BaseRow | undefined;
  const rows: Row[] = [];
  await inTransaction("readonly", (transaction) => {
    const asked = transaction.objectStore(BASES).get(key) as IDBRequest<typeof found>;
    asked.onsuccess = () => (found = asked.result);
    eachRow(transaction, key, ({ value }) => {
      rows.push(value as Row);
    });
  });
  if (found === undefined) return null;
  const { mark, ...base } = found;
  const own = rows.filter(({ writer }) => writer === base.writer);
  const last = own.at(-1)?.mark ?? mark;
  return { base, mark: { ...NO_LINEAGE, ...last }, entries: own.map(({ entry }) => entry) };
}

/** Journals written before marks had a lineage. */
const NO_LINEAGE = { lineage: [] };

/** The journal with this key, if any, and those that were put aside (see `asideKey`). */
export async function findJournals(key: string): Promise<Journal[]> {
  let keys: IDBValidKey[] = [];
  await inTransaction("readonly", (transaction) => {
    const asked = transaction
      .objectStore(BASES)
      .getAllKeys(IDBKeyRange.bound(key, `${key}/\uffff`));
    asked.onsuccess = () => (keys = asked.result);
  });
  const found = await Promise.all(keys.map((each) => findJournal(each as string)));
  return found.filter((journal) => journal !== null);
}

/** Where work is kept that somebody did not choose to go on with, until they do or discard it. */
export function asideKey(key: string, { writer, savedAt }: Trace): string {
  return `${key}/${writer}-${savedAt}`;
}

/** Forget a journal; with `writer` only while it is that window's. */
export function dropJournal(key: string, writer?: string): Promise<void> {
  return inTransaction("readwrite", (transaction) => {
    const bases = transaction.objectStore(BASES);
    const asked = bases.get(key) as IDBRequest<BaseRow | undefined>;
    asked.onsuccess = () => {
      const owner = asked.result?.writer;
      if (writer !== undefined && owner !== undefined && owner !== writer) return;
      bases.delete(key);
      eachRow(transaction, key, (cursor) => {
        cursor.delete();
      });
    };
  });
}

function addRows(
  transaction: IDBTransaction,
  about: Omit<Row, "entry">,
  entries: readonly Entry[],
): void {
  const store = transaction.objectStore(ENTRIES);
  for (const entry of entries) store.add({ ...about, entry });
}

/** Rows in the order in which they were added. */
function eachRow(
  transaction: IDBTransaction,
  key: string,
  visit: (cursor: IDBCursorWithValue) => void,
  after?: () => void,
): void {
  const asked = transaction.objectStore(ENTRIES).index("key").openCursor(IDBKeyRange.only(key));
  asked.onsuccess = () => {
    const cursor = asked.result;
    if (cursor === null) {
      after?.();
      return;
    }
    visit(cursor);
    cursor.continue();
  };
}
