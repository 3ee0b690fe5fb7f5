/** The current page, kept in step with the browser's history. */
import { isOurs, parse, type Route } from "./router";

/** Why the page had better not be left now, in a sentence; null when it may be. */
export type Guard = () => string | null;

export interface Question {
  readonly reason: string;
  readonly answer: (leave: boolean) => void;
}

class Navigation {
  #address = $state(location.pathname + location.search);
  readonly route: Route = $derived(parse(this.#address));
  /** What the person must answer before the page is left. */
  asking = $state.raw<Question | null>(null);
  #guard: Guard | null = null;
  /** The next step through the history was agreed to. */
  #agreed = false;

  /** Path and query as in the address bar. */
  get address(): string {
    return this.#address;
  }

  /**
   * Goes to `address`; `replace` leaves no entry in the history and asks nobody: it is for where
   * the app itself has to lead.
   */
  go(address: string, { replace = false } = {}): void {
    if (address === this.#address) return;
    const move = (): void => {
      history[replace ? "replaceState" : "pushState"](null, "", address);
      this.#address = address;
      window.scrollTo(0, 0);
    };
    if (replace) move();
    else this.#unlessGuarded(move);
  }

  /** From now on `guard` is heard before the page is left; returns the way out. */
  guard(guard: Guard): () => void {
    this.#guard = guard;
    return () => {
      if (this.#guard === guard) this.#guard = null;
    };
  }

  /** True at once, or what the person answers. */
  mayLeave(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#unlessGuarded(
        () => {
          resolve(true);
        },
        () => {
          resolve(false);
        },
      );
    });
  }

  #unlessGuarded(leave: () => void, stay?: () => void): void {
    const reason = this.#guard?.() ?? null;
    if (reason === null) {
      leave();
      return;
    }
    this.asking?.answer(false);
    const answer = (agreed: boolean): void => {
      this.asking = null;
      if (agreed) leave();
      else stay?.();
    };
    this.asking = { reason, answer };
  }

  #onPop(): void {
    const arrive = (): void => {
      this.#address = location.pathname + location.search;
    };
    if (this.#agreed || (this.#guard?.() ?? null) === null) {
      this.#agreed = false;
      arrive();
      return;
    }
    // The browser has gone already: take it back until the person has answered.
    history.pushState(null, "", this.#address);
    this.#unlessGuarded(() => {
      this.#agreed = true;
      history.back();
    });
  }

  /** Listens to the browser's buttons and to links; returns the way out. */
  listen(): () => void {
    const onPop = (): void => {
      this.#onPop();
    };
    const onClick = (event: MouseEvent): void => {
      const address = linkedAddress(event);
      if (address === null) return;
      event.preventDefault();
      this.go(address);
    };
    window.addEventListener("popstate", onPop);
    document.addEventListener("click", onClick);
    return () => {
      window.removeEventListener("popstate", onPop);
      document.removeEventListener("click", onClick);
    };
  }
}

/** Where a plain click leads inside the app; null when the browser should handle it. */
export function linkedAddress(event: MouseEvent): string | null {
  const modified = event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (event.defaultPrevented || event.button !== 0 || modified) return null;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target !== "" || link.hasAttribute("download")) return null;
  if (link.origin !== location.origin || !isOurs(link.pathname) || link.hash !== "") return null;
  return link.pathname + link.search;
}

export const navigation = new Navigation();
