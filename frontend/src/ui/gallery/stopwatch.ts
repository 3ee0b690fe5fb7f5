/** How long somebody worked, by when their hands moved. */

/** A longer pause is no work. */
const IDLE_SECONDS = 30;

export class Stopwatch {
  private seconds = 0;
  private last: number | null = null;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** A hand moved. */
  touch(): void {
    const now = this.now();
    const since = this.last === null ? 0 : (now - this.last) / 1000;
    if (since <= IDLE_SECONDS) this.seconds += since;
    this.last = now;
  }

  /** The seconds worked since the last lap. */
  lap(): number {
    this.touch();
    const { seconds } = this;
    this.seconds = 0;
    return Math.round(seconds * 1000) / 1000;
  }
}
