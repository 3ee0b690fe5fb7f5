/**
 * Which tabs of this browser have an image open. Asking the others costs the time they have to
 * answer: where there is none, nobody waits. A tab that crashed stays in it for a while, which costs
 * no more than asking in vain.
 */

const PREFIX = "cytoloop.open/";
/** A tab says so often that it is still there, in milliseconds; a frozen one cannot. */
const AGAIN = 3600_000;
/** After so many without a word it was surely a crash. */
const LONGEST = 7 * 24 * AGAIN;

/** This tab has it, until the returned function is called or the page goes. */
export function noteOpen(key: string, writer: string): () => void {
  const name = nameOf(key, writer);
  const enter = (): void => {
    attempt(() => {
      forgetCrashed();
      localStorage.setItem(name, String(Date.now()));
    });
  };
  const leave = (): void => {
    attempt(() => {
      localStorage.removeItem(name);
    });
  };
  enter();
  const timer = setInterval(enter, AGAIN);
  window.addEventListener("pagehide", leave);
  // Out of the browser's memory, with the work that was in it.
  window.addEventListener("pageshow", enter);
  return () => {
    clearInterval(timer);
    window.removeEventListener("pagehide", leave);
    window.removeEventListener("pageshow", enter);
    leave();
  };
}

/** May another tab have it? True also where that cannot be known. */
export function mayBeElsewhere(key: string, writer: string): boolean {
  const others = attempt(() => {
    tryRoom(key, writer);
    return names().filter((name) => name.startsWith(nameOf(key, "")));
  });
  return others === null || others.some((name) => name !== nameOf(key, writer));
}

const nameOf = (key: string, writer: string): string => `${PREFIX}${key}/${writer}`;

function names(): string[] {
  return Object.keys(localStorage).filter((name) => name.startsWith(PREFIX));
}

/** Raises where storage is full: the other tabs cannot have noted anything either. */
function tryRoom(key: string, writer: string): void {
  const probe = nameOf(`?${key}`, writer);
  localStorage.setItem(probe, String(Date.now()));
  localStorage.removeItem(probe);
}

function forgetCrashed(): void {
  for (const name of names()) {
    const age = Date.now() - Number(localStorage.getItem(name));
    if (!(age < LONGEST)) localStorage.removeItem(name);
  }
}

/** Null where storage is forbidden or full. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
