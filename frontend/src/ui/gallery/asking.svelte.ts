/**
 * Cells, and places of missing ones, that this person is asked about. The next ones are fetched
 * while these are answered, and answers are sent some at a time: the cells of an image that are
 * answered together make one revision.
 */
import type { Answer, Crop } from "../../api/cells";
import { ApiError, messageOf } from "../../api/client";
import type { GalleryImage, Verdict } from "../../api/types";
import { plural } from "../format";
import type { Mended } from "../mended";
import { paths } from "../router";
import { GLANCE, toast, toasts } from "../toasts.svelte";
import { Crops } from "./crops.svelte";
import { Stopwatch } from "./stopwatch";
import { answer, ask, release, undo, type Subject } from "./subjects";

export type State = "open" | "skipped" | "in the editor" | "mended" | "refused" | Verdict;

export interface Asked {
  readonly question: Subject;
  /** As pictures are asked for. */
  readonly image: GalleryImage;
  readonly label: number;
  readonly state: State;
  /** That it was given. */
  readonly type: string | null;
}

interface Sent {
  readonly revisions: readonly number[];
  readonly cells: readonly number[];
}

const BATCH = 24;
/** With fewer left the next ones are fetched. */
const FEW = 12;
/** Answers that are sent together, or what came in a while. */
const TOGETHER = 8;
const SEND_AFTER_MS = 5_000;
/** Those answered stay in sight for a while; those before are let go. */
const MOST_SHOWN = 240;

export class AskingState {
  items = $state.raw<readonly Asked[]>([]);
  at = $state(0);
  error = $state<string | null>(null);
  loading = $state(false);
  /** There is no model yet whose cells one could be asked about. */
  notReady = $state(false);
  /** The server has no more cells to ask about. */
  finished = $state(false);
  answered = $state(0);
  /** Seconds worked on answers that were sent. */
  seconds = $state(0);
  readonly crops: Crops;
  readonly stopwatch = new Stopwatch();
  private unsent = $state.raw<readonly Answer[]>([]);
  private sent = $state.raw<readonly Sent[]>([]);
  /** Cells whose answers are on their way: the server may not have them yet. */
  private onTheWay: readonly number[] = [];
  /** Requests that follow one another. */
  private sending: Promise<void> = Promise.resolve();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private left = false;

  constructor(readonly datasetId: number) {
    this.crops = Crops.of(datasetId);
  }

  get current(): Asked | null {
    return this.items[this.at] ?? null;
  }

  get open(): readonly Asked[] {
    return this.items.filter(({ state }) => state === "open");
  }

  /** The picture of one; null when there is none, undefined while it is on its way. */
  cropOf(item: Asked): Crop | null | undefined {
    return item.question.place?.crop ?? this.crops.get(item);
  }

  /** Have pictures of these read, the first ones first; those of places are there. */
  wantCrops(items: readonly Asked[]): void {
    this.crops.want(items.filter(({ question }) => question.place === undefined));
  }

  get canUndo(): boolean {
    return this.unsent.length > 0 || this.sent.length > 0;
  }

  /** Why the page had better not be left: answers that the server does not have. */
  get unkept(): string | null {
    if (this.error === null || this.unsent.length === 0) return null;
    return `${plural(this.unsent.length, "answer")} could not be sent yet, and would be lost.`;
  }

  get perMinute(): number {
    return this.seconds < 5
      ? 0
      : Math.round((60 * (this.answered - this.unsent.length)) / this.seconds);
  }

  /** Fetch more cells, unless enough are at hand. */
  async fetch(): Promise<void> {
    if (this.loading || this.finished || this.open.length >= FEW) return;
    this.loading = true;
    try {
      const holding = this.items
        .filter(({ state, question }) => isHeld(state) || this.isPending(question))
        .map(({ question }) => question.cell);
      const questions = await ask(this.datasetId, BATCH, holding);
      // Nobody is there any more to answer.
      if (this.left) this.release(questions.map(({ cell }) => cell));
      else {
        this.finished = questions.length === 0;
        this.add(questions);
      }
      this.error = null;
      this.notReady = false;
    } catch (error) {
      this.notReady = error instanceof ApiError && error.code === "not_ready";
      this.error = this.notReady ? null : messageOf(error);
    }
    this.loading = false;
  }

  /** Is it answered, as far as this page knows, and maybe not for the server? */
  private isPending({ cell }: Subject): boolean {
    return this.onTheWay.includes(cell) || this.unsent.some((answer) => answer.cell === cell);
  }

  private add(questions: readonly Subject[]): void {
    const { current } = this;
    const open = this.open.map(cellOf);
    const fresh = questions
      .filter((question) => !open.includes(question.cell) && !this.isPending(question))
      .map(asked);
    const again = fresh.map(cellOf);
    const others = this.items.filter((item) => !again.includes(cellOf(item)));
    this.items = [...others.slice(Math.max(0, others.length - MOST_SHOWN)), ...fresh];
    const same = this.items.findIndex((item) => current && cellOf(item) === cellOf(current));
    this.at = Math.max(0, same);
    if (this.current?.state !== "open") this.go();
  }

  /** Answer for the current cell and go on to the next. */
  answer(verdict: Verdict, type: string | null): void {
    const { current } = this;
    if (current === null || !isAnswerable(current)) return;
    const { cell, asks_type } = current.question;
    if (verdict !== "retyped") this.give({ cell, verdict }, current.type);
    else if (asks_type) this.give({ cell, verdict, type }, type);
    // Whoever gives it the type that it has anyway accepts it.
    else if (type === current.type) this.give({ cell, verdict: "accepted" }, type);
    else sayOnce("The file name tells the type of this cell: accept or reject it.");
  }

  private give(answer: Answer, type: string | null): void {
    this.unsent = [...this.unsent, answer];
    this.mark(answer.cell, answer.verdict, type);
    this.answered++;
    this.go();
    clearTimeout(this.timer);
    const now = this.unsent.length >= TOGETHER || this.open.length === 0;
    if (now) void this.flush();
    else this.timer = setTimeout(() => void this.flush(), SEND_AFTER_MS);
    void this.fetch();
  }

  /** Leave the current cell to somebody else, later. */
  skip(): void {
    const { current } = this;
    if (current?.state !== "open") return;
    this.mark(current.question.cell, "skipped", current.type);
    this.go();
    void this.fetch();
  }

  /** The current cell is drawn in the editor: whoever submits it there has answered. */
  draw(): void {
    const { current } = this;
    if (current?.state !== "open") return;
    this.mark(current.question.cell, "in the editor", current.type);
    this.go();
    void this.fetch();
  }

  /** What was drawn in the editor is submitted there, and answers what lies in it. */
  mended(mended: Mended): void {
    const found = this.items.filter(
      ({ question, state }) => isHeld(state) && isAnsweredBy(mended, question),
    );
    for (const { question, type } of found) this.mark(question.cell, "mended", type);
    if (this.current?.state === "mended") this.go();
  }

  /** To the next cell that is open, else stay. */
  private go(): void {
    const { items } = this;
    for (let step = 0; step < items.length; step++) {
      const at = (this.at + step) % items.length;
      if (items[at]?.state === "open") {
        this.at = at;
        return;
      }
    }
  }

  private mark(cell: number, state: State, type: string | null): void {
    this.items = this.items.map((item) =>
      item.question.cell === cell ? { ...item, state, type } : item,
    );
  }

  /** The last answer is open again; of those sent, all that were sent with it. */
  undo(): Promise<void> {
    if (this.takeBackUnsent(this.unsent.at(-1)?.cell)) return Promise.resolve();
    const latest = this.onTheWay.at(-1);
    this.sending = this.sending.then(() => this.takeBack(latest));
    return this.sending;
  }

  private takeBackUnsent(cell: number | undefined): boolean {
    const others = this.unsent.filter((answer) => answer.cell !== cell);
    if (cell === undefined || others.length === this.unsent.length) return false;
    this.unsent = others;
    this.answered--;
    this.reopen([cell]);
    return true;
  }

  /** `latest`: the answer that was on its way. */
  private async takeBack(latest: number | undefined): Promise<void> {
    // It could not be sent.
    if (this.takeBackUnsent(latest)) return;
    const batch = this.sent.at(-1);
    if (batch === undefined) return;
    try {
      const { moved } = await undo(this.datasetId, batch.revisions, batch.cells);
      this.sent = this.sent.slice(0, -1);
      this.answered -= batch.cells.length;
      this.reopen(batch.cells);
      const [first] = moved;
      if (first) toast(first.message, "bad");
      else if (batch.cells.length > 1) toast(`${plural(batch.cells.length, "answer")} undone.`);
    } catch (error) {
      toast(messageOf(error), "bad");
    }
  }

  private reopen(cells: readonly number[]): void {
    for (const { question } of this.items.filter((item) => cells.includes(cellOf(item)))) {
      this.mark(question.cell, "open", question.type);
    }
    const first = this.items.findIndex((item) => cells.includes(cellOf(item)));
    if (first >= 0) this.at = first;
  }

  /** Send what was answered; one request after the other. */
  flush(leaving = false): Promise<void> {
    clearTimeout(this.timer);
    const answers = this.unsent;
    if (answers.length > 0) {
      this.unsent = [];
      this.onTheWay = [...this.onTheWay, ...answers.map(({ cell }) => cell)];
      const seconds = this.stopwatch.lap();
      // Before a page goes away nothing can be waited for.
      this.sending = leaving
        ? this.send(answers, seconds, true)
        : this.sending.then(() => this.send(answers, seconds, false));
    }
    return this.sending;
  }

  private async send(answers: readonly Answer[], seconds: number, leaving: boolean): Promise<void> {
    try {
      const said = await answer(this.datasetId, answers, seconds, leaving);
      this.seconds += seconds;
      this.error = said.unsent.length > 0 ? messageOf(said.error) : null;
      this.unsent = [...said.unsent, ...this.unsent];
      const revisions = said.revisions.map(({ id }) => id);
      if (revisions.length > 0) this.sent = [...this.sent, { revisions, cells: said.answered }];
      for (const { cell } of said.refused) this.mark(cell, "refused", null);
      this.answered -= said.refused.length;
      const [first] = said.refused;
      if (first)
        toast(`${plural(said.refused.length, "answer")} came to nothing. ${first.message}`, "bad");
    } catch (error) {
      this.unsent = [...answers, ...this.unsent];
      this.error = messageOf(error);
    }
    const done = answers.map(({ cell }) => cell);
    this.onTheWay = this.onTheWay.filter((cell) => !done.includes(cell));
  }

  async retry(): Promise<void> {
    this.error = null;
    this.finished = false;
    await this.flush();
    await this.fetch();
  }

  /** Something may have changed that brings the first questions, such as a model. */
  async lookAgain(): Promise<void> {
    if (this.current !== null || this.error !== null || this.left) return;
    this.finished = false;
    await this.fetch();
  }

  /** Answers are sent, what is open goes to others; `closing`: the page goes away. */
  leave(closing = false): void {
    if (this.left) return;
    this.left = true;
    void this.flush(closing);
    const cells = this.items.filter(({ state }) => isHeld(state)).map(cellOf);
    this.release(cells, closing);
    this.crops.stop();
  }

  /** The page comes out of the browser's memory: what was at hand is free for others since. */
  comeBack(): void {
    this.left = false;
    this.finished = false;
    this.items = this.items.filter(({ state }) => !isHeld(state));
    this.at = Math.max(0, this.items.length - 1);
    void this.fetch();
  }

  private release(cells: readonly number[], closing = false): void {
    // What fails is free for others when the lease runs out.
    if (cells.length > 0) release(this.datasetId, cells, closing).catch(() => undefined);
  }
}

function sayOnce(text: string): void {
  if (!toasts.some((shown) => shown.text === text)) toast(text, "bad", 2 * GLANCE);
}

/** Nobody else is asked about it, nor is this person again. */
const isHeld = (state: State): boolean =>
  ["open", "skipped", "in the editor", "mended"].includes(state);

/** Whoever opened it in the editor may find that it needs no drawing. */
export const isAnswerable = ({ state }: Asked): boolean =>
  state === "open" || state === "in the editor";

/** Of the editor, with the cell or the place to be drawn. */
export const addressOf = ({ image, label, prediction, place }: Subject): string =>
  paths.asked(image, place ? { place: { x: place.x, y: place.y } } : { cell: label, prediction });

/** Also what another tab was opened for: its edits may have been handed in by this one. */
function isAnsweredBy({ addresses, image, regions }: Mended, question: Subject): boolean {
  if (question.image !== image) return false;
  if (regions === null) return true;
  const { place } = question;
  if (!place) return addresses.includes(addressOf(question));
  return regions.some(
    ({ x0, y0, x1, y1 }) => x0 <= place.x && place.x < x1 && y0 <= place.y && place.y < y1,
  );
}

const cellOf = ({ question }: Asked): number => question.cell;

function asked(question: Subject): Asked {
  const { image: id, name, prediction, label, type } = question;
  const image: GalleryImage = { id, name, split: "train", culture: "", revision: 0, prediction };
  return { question, image, label, type, state: "open" };
}
