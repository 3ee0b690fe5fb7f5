/** Where the work at hand is safe, in a few words for the bar. */
export interface Kept {
  readonly submitting: boolean;
  readonly unsaved: boolean;
  readonly submittedAt: number | null;
  readonly browser: {
    readonly savedAt: number | null;
    readonly error: string | null;
    /** Another tab has the image. */
    readonly taken?: boolean;
  };
  readonly server: {
    readonly savedAt: number | null;
    readonly unreachableSince: number | null;
    readonly signedOut: boolean;
    readonly error: string | null;
  };
}

/** Why there is nothing to hand in. */
export const nothingNew = (revision: number): string =>
  revision > 0 ? `Nothing changed since revision ${revision}.` : "Nothing changed yet.";

/** Said where an image is looked at that another tab has. */
export const ELSEWHERE = "This image is open in another tab: go on there, or here instead.";

export interface Words {
  /** Short, so that nothing beside it moves. */
  readonly text: string;
  /** The same in full words. */
  readonly about: string;
  readonly tone: "good" | "quiet" | "warn";
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
}

export function savedWords(kept: Kept): Words {
  const { submitting, unsaved, submittedAt } = kept;
  if (submitting) return { text: "Submitting…", about: "Being handed in.", tone: "quiet" };
  if (kept.browser.taken === true) {
    return { text: "In another tab", about: ELSEWHERE, tone: "quiet" };
  }
  if (!unsaved) {
    if (submittedAt === null) return { text: "", about: "Nothing changed yet.", tone: "good" };
    const at = clockTime(submittedAt);
    return { text: `Submitted ${at}`, about: `All of it is submitted, at ${at}.`, tone: "good" };
  }
  return onServer(kept) ?? inBrowser(kept);
}

function onServer({ browser, server }: Kept): Words | null {
  const troubled = server.unreachableSince !== null || server.signedOut || server.error !== null;
  if (server.savedAt === null || troubled) return null;
  const at = clockTime(server.savedAt);
  if (browser.error !== null) {
    const about = `Saved on the server only, ${at}: ${browser.error}`;
    return { text: `Server only ${at}`, about, tone: "warn" };
  }
  const about = `Draft on the server ${at}, every edit also in this browser. Not submitted yet.`;
  return { text: `Saved ${at}`, about, tone: "good" };
}

function inBrowser({ browser, server }: Kept): Words {
  const only = "Saved in this browser only";
  if (browser.error !== null) return { text: "Not saved", about: browser.error, tone: "warn" };
  if (server.signedOut) {
    return { text: "Signed out", about: `${only}: you are signed out.`, tone: "warn" };
  }
  if (server.unreachableSince !== null) {
    const since = clockTime(server.unreachableSince);
    const about = `${only}: the server has not answered since ${since}. It is tried again by itself.`;
    return { text: `Offline since ${since}`, about, tone: "quiet" };
  }
  if (server.error !== null) {
    return { text: "Saved here only", about: `${only}: ${server.error}`, tone: "warn" };
  }
  if (browser.savedAt === null) {
    return { text: "Unsubmitted", about: "Not submitted yet.", tone: "quiet" };
  }
  const at = clockTime(browser.savedAt);
  const about = `Saved in this browser ${at}. The server gets it in a moment.`;
  return { text: `Saved here ${at}`, about, tone: "quiet" };
}
