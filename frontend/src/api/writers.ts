/** Names of the tabs that write work down: who wrote it, and whether that was in this browser. */

const KEPT = "cytoloop.browser";
const HALF = 8;
let browser: string | null = null;

/** A name that no tab has had yet; its first half is that of this browser. */
export function newWriter(): string {
  return thisBrowser() + hex(HALF);
}

/** Was it written in this browser, in whatever tab? */
export function ofThisBrowser(writer: string): boolean {
  return writer.startsWith(thisBrowser());
}

function thisBrowser(): string {
  browser ??= keptName();
  return browser;
}

function keptName(): string {
  try {
    const kept = localStorage.getItem(KEPT) ?? "";
    const name = kept.length === 2 * HALF ? kept : hex(HALF);
    localStorage.setItem(KEPT, name);
    return name;
  } catch {
    // Storage forbidden: only this tab is known again.
    return hex(HALF);
  }
}

/** Not crypto.randomUUID: over plain http:// there is none. */
function hex(bytes: number): string {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(drawn, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
