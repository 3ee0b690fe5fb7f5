/** Where the work at hand is safe, in a few words for the bar. */
export interface Kept {
  readonly submitting: boolean;
  readonly unsaved: boolean;
  readonly submittedAt: number | null;
  readonly browser: { readonly savedAt: number | null; readonly error: string | null };
  readonly server: {
    readonly savedAt: number | null;
    readonly unreachableSince: number | null;
    readonly signedOut: boolean;
    readonly error: string | null;
  };
}

export interface Words {
  readonly text: string;
  /** More, where there is something to know. */
  readonly about: string | null;
  readonly tone: "good" | "quiet" | "warn";
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function savedWords(kept: Kept): Words {
  const { submitting, unsaved, submittedAt } = kept;
  if (submitting) return { text: "Submitting…", about: null, tone: "quiet" };
  if (!unsaved) {
    const text = submittedAt === null ? "" : `Submitted ${clockTime(submittedAt)}`;
    return { text, about: null, tone: "good" };
  }
  return onServer(kept) ?? inBrowser(kept);
}

function onServer({ browser, server }: Kept): Words | null {
  const troubled = server.unreachableSince !== null || server.signedOut || server.error !== null;
  if (server.savedAt === null || troubled) return null;
  const at = clockTime(server.savedAt);
  if (browser.error !== null) {
    return { text: `Saved on the server only ${at}`, about: browser.error, tone: "warn" };
  }
  const about = `Draft on the server ${at}, every edit also in this browser. Not submitted yet.`;
  return { text: `Saved ${at}`, about, tone: "good" };
}

function inBrowser({ browser, server }: Kept): Words {
  if (browser.error !== null) {
    return { text: "Not saved", about: browser.error, tone: "warn" };
  }
  if (server.signedOut) {
    return { text: "Saved in this browser only — signed out", about: null, tone: "warn" };
  }
  if (server.unreachableSince !== null) {
    const since = clockTime(server.unreachableSince);
    const text = `Saved in this browser only — server unreachable since ${since}`;
    return { text, about: "It is tried again by itself.", tone: "quiet" };
  }
  if (server.error !== null) {
    return { text: "Saved in this browser only", about: server.error, tone: "warn" };
  }
  if (browser.savedAt === null) return { text: "Unsubmitted", about: null, tone: "quiet" };
  const text = `Saved in this browser ${clockTime(browser.savedAt)}`;
  return { text, about: "The server gets it in a moment.", tone: "quiet" };
}
