/** Writes an editing session to the browser's storage, gesture by gesture as it happens. */
import {
  appendToJournal,
  asideKey,
  dropJournal,
  findJournals,
  TakenOver,
  writeJournal,
  type Journal,
  type JournalBase,
  type JournalMark,
} from "../../api/journal";
import { messageOf } from "../../api/client";
import { decodeLabels } from "../../api/labels";
import { newWriter } from "../../api/writers";
import { openDocument, type MaskDocument } from "../../core/document";
import { applySteps, type History } from "../../core/history";
import {
  entriesBetween,
  entriesOf,
  forgottenBetween,
  MOST_ENTRIES,
  type Entry,
} from "../../core/journal";
import { Table } from "../../core/table";
import { packLabels } from "./packing";
import { resting } from "./resting";

const REST = 2_000;

/** What is recorded: asked anew at each writing. */
export interface Session {
  readonly history: History;
  /** False when the server has everything: then nothing is kept. */
  readonly unsaved: boolean;
  readonly etag: string;
  readonly prediction: number | null;
  readonly mark: JournalMark;
}

export class Recorder {
  /** When the latest gesture was safely on disk; null when nothing is kept. */
  savedAt = $state<number | null>(null);
  error = $state<string | null>(null);
  /** Another window has the journal. */
  taken = $state(false);

  /** This window. */
  readonly writer = newWriter();
  /** What the journal has; null: there is none yet, or one that must be written anew. */
  private written: History | null = null;
  /** The last history seen, and the document before its first gesture. */
  private seen: History;
  private root: MaskDocument;
  /** The document to begin with as it is stored. */
  private packed: { readonly doc: MaskDocument; readonly as: Promise<PackedDocument> } | null =
    null;
  private count = 0;
  /** Whose journal may be replaced: one that this window has not seen is another tab's. */
  private replaceable: readonly string[] = [this.writer];
  private exists = false;
  /** Written and dropped one after the other: an old journal never comes back. */
  private writes: Promise<void> = Promise.resolve();

  constructor(
    readonly key: string,
    root: MaskDocument,
    private readonly session: () => Session,
  ) {
    this.root = root;
    this.seen = session().history;
  }

  /** The journal, where there is one, and those that were put aside. */
  async find(): Promise<Journal[]> {
    const journals = await findJournals(this.key);
    const seen = journals.filter((journal) => !this.isAside(journal));
    this.exists = seen.length > 0;
    this.replaceable = [this.writer, ...seen.map(({ base }) => base.writer)];
    return journals;
  }

  isAside({ base }: Journal): boolean {
    return base.key !== this.key;
  }

  /** Get ready while nothing happens: the first gesture is then on disk at once too. */
  async prepare(): Promise<void> {
    await resting(REST);
    await this.packedRoot();
  }

  /** Write down what happened since the last call. Resolves when it is on disk. */
  record(): Promise<void> {
    return this.inTurn(async () => {
      const session = this.followed();
      if (!this.taken) await this.settle(session);
    });
  }

  /** Another window goes on: what was done so far is written down, and nothing after it. */
  handOver(): Promise<void> {
    const writing = this.inTurn(() => this.settle(this.followed()));
    this.taken = true;
    return writing;
  }

  private followed(): Session {
    const session = this.session();
    const { history } = session;
    this.root = forgottenBetween(this.seen, history).reduce(
      (doc, { steps }) => applySteps(doc, steps),
      this.root,
    );
    this.seen = history;
    return session;
  }

  private async settle(session: Session): Promise<void> {
    // All was undone or submitted: a journal would only offer the same again.
    if (!session.unsaved) {
      if (this.exists) await this.forget();
    } else if (session.history !== this.written) await this.write(session);
  }

  /** The work now builds on another revision: the journal is written anew with the next edit. */
  async rebase(): Promise<void> {
    await this.inTurn(() => {
      this.written = null;
      return Promise.resolve();
    });
    await this.record();
  }

  /** Forget what this window wrote. */
  drop(): Promise<void> {
    return this.inTurn(() => this.forget());
  }

  /** Forget a journal, whoever wrote it. */
  discard({ base }: Journal): Promise<void> {
    return this.inTurn(() => dropJournal(base.key));
  }

  /** Keep work that somebody does not go on with now; rejects when it cannot be kept. */
  async putAside({ base, mark, entries }: Journal): Promise<void> {
    // Own work that this window does not go on with gets a name of its own: what the window does
    // later would seem to include it.
    const writer = base.writer === this.writer ? newWriter() : base.writer;
    const key = asideKey(this.key, { ...mark, writer });
    if (key === base.key) return;
    await writeJournal({ base: { ...base, key, writer }, mark, entries });
    if (base.key === this.key) await dropJournal(this.key, base.writer);
  }

  /** This session goes on with what `journal` holds, which began with `root`. */
  async adopt(journal: Journal, root: MaskDocument): Promise<void> {
    this.begin(root);
    await this.inTurn(async () => {
      const { key, writer } = this;
      const replaceable = [...this.replaceable, journal.base.writer];
      await writeJournal({ ...journal, base: { ...journal.base, key, writer } }, replaceable);
      this.replaceable = [writer];
      this.exists = true;
      this.written = this.seen;
      this.count = journal.entries.length;
      this.savedAt = journal.mark.savedAt;
    });
  }

  /** The session goes on from a document without history. */
  begin(root: MaskDocument): void {
    this.root = root;
    this.seen = this.session().history;
    this.written = null;
  }

  private async write(session: Session): Promise<void> {
    const { history, mark } = session;
    const entries = this.written === null ? null : entriesBetween(this.written, history);
    const short = entries !== null && this.count + entries.length <= MOST_ENTRIES;
    if (short && (await this.append(mark, entries))) this.count += entries.length;
    else this.count = await this.writeAnew(session);
    this.replaceable = [this.writer];
    this.exists = true;
    this.written = history;
    this.savedAt = Date.now();
    this.error = null;
  }

  private append(mark: JournalMark, entries: readonly Entry[]): Promise<boolean> {
    return appendToJournal({ key: this.key, writer: this.writer }, mark, entries);
  }

  private async writeAnew(
    session: Session,
    { key, writer }: Pick<JournalBase, "key" | "writer"> = this,
  ): Promise<number> {
    const { history, etag, prediction, mark } = session;
    const base = { ...(await this.packedRoot()), key, writer };
    const entries = entriesOf(history);
    await writeJournal({ base: { ...base, etag, prediction }, mark, entries }, this.replaceable);
    return entries.length;
  }

  /** The journal is another window's, which does not have what was done here last. */
  private async lost(): Promise<void> {
    this.taken = true;
    const session = this.session();
    if (!session.unsaved) return;
    // Under a name of its own: what this window does later goes on from the other's work.
    const writer = newWriter();
    const key = asideKey(this.key, { writer, savedAt: session.mark.savedAt });
    await this.writeAnew(session, { key, writer });
  }

  private packedRoot(): Promise<PackedDocument> {
    if (this.packed?.doc !== this.root) {
      this.packed = { doc: this.root, as: packDocument(this.root) };
    }
    return this.packed.as;
  }

  private async forget(): Promise<void> {
    await dropJournal(this.key, this.writer);
    this.exists = false;
    this.written = null;
    this.savedAt = null;
    this.error = null;
  }

  private inTurn(write: () => Promise<void>): Promise<void> {
    this.writes = this.writes
      .then(write)
      .catch((error: unknown) => {
        if (error instanceof TakenOver) return this.lost();
        throw error;
      })
      .catch((error: unknown) => {
        this.error = messageOf(error);
      });
    return this.writes;
  }
}

type PackedDocument = Omit<JournalBase, "key" | "writer" | "etag" | "prediction">;

export async function packDocument(doc: MaskDocument): Promise<PackedDocument> {
  const { labels, meta, highest, regions } = doc;
  const { width, height } = labels;
  const cells = [...meta.entries()];
  return { width, height, cells, highest, regions, labels: await packLabels(labels) };
}

/** The document a journal began with. Cells without pixels are in it too: undo may need them. */
export async function unpackDocument(base: JournalBase): Promise<MaskDocument> {
  const { cells, highest, regions } = base;
  const flat = await decodeLabels(base.labels);
  return { ...openDocument(flat, base, cells, highest, regions), meta: Table.from(cells) };
}
