/** One import: its portions sent one after the other, its progress and its report. */
import { ApiError, messageOf, wasAborted } from "../api/client";
import type { UploadChoices } from "../api/images";
import type { ImportReport } from "../api/types";
import { folderOf } from "./dropped";
import { addReports, batchFiles, emptyReport, sizeOf } from "./upload";

export type SendBatch = (
  files: File[],
  choices: UploadChoices,
  onProgress: (share: number) => void,
  signal: AbortSignal,
) => Promise<ImportReport>;

export class Uploader {
  state = $state<"idle" | "sending" | "done">("idle");
  /** Share of all bytes that have left, 0 to 1. */
  share = $state(0);
  report = $state.raw<ImportReport>(emptyReport());
  /** Files that never reached the server: the connection broke or the import was stopped. */
  unsent = $state.raw<File[]>([]);
  error = $state<string | null>(null);

  readonly #send: SendBatch;
  #calls = new AbortController();

  constructor(send: SendBatch) {
    this.#send = send;
  }

  /** Sends `files`. A refused portion is reported and passed over; a broken line stops it all. */
  async run(files: readonly File[], choices: UploadChoices): Promise<void> {
    this.#calls = new AbortController();
    this.state = "sending";
    this.share = 0;
    this.error = null;
    this.report = emptyReport();
    this.unsent = [...files];
    const total = Math.max(1, sizeOf(files));
    let sent = 0;
    for (const batch of batchFiles(files, folderOf)) {
      const size = sizeOf(batch);
      const onProgress = (share: number): void => {
        this.share = (sent + share * size) / total;
      };
      if (!(await this.#sendOne(batch, choices, onProgress))) break;
      sent += size;
      this.share = sent / total;
      this.unsent = this.unsent.filter((file) => !batch.includes(file));
    }
    this.state = "done";
  }

  stop(): void {
    this.#calls.abort();
  }

  reset(): void {
    this.state = "idle";
    this.unsent = [];
    this.error = null;
  }

  /** False when the rest cannot go on. */
  async #sendOne(
    batch: File[],
    choices: UploadChoices,
    onProgress: (share: number) => void,
  ): Promise<boolean> {
    try {
      const placed = { ...choices, folders: batch.map(folderOf) };
      const report = await this.#send(batch, placed, onProgress, this.#calls.signal);
      this.report = addReports(this.report, report);
      return true;
    } catch (error) {
      this.error = wasAborted(error) ? "The import was stopped." : messageOf(error);
      const refused = error instanceof ApiError && error.status >= 400 && error.status < 500;
      if (!refused || error.status === 401 || error.status === 403) return false;
      const failed = batch.map((file) => ({ file: pathOf(file), message: messageOf(error) }));
      this.report = addReports(this.report, { ...emptyReport(), failed });
      this.error = null;
      return true;
    }
  }
}

function pathOf(file: File): string {
  const folder = folderOf(file);
  return folder === "" ? file.name : `${folder}/${file.name}`;
}
