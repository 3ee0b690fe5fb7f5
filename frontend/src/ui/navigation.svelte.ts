/** The current page, kept in step with the browser's history. */
import { isOurs, parse, type Route } from "./router";

class Navigation {
  #address = $state(location.pathname + location.search);
  readonly route: Route = $derived(parse(this.#address));

  /** Path and query as in the address bar. */
  get address(): string {
    return this.#address;
  }

  /** Goes to `address`; `replace` leaves no entry in the history. */
  go(address: string, { replace = false } = {}): void {
    if (address === this.#address) return;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    this.#address = address;
    window.scrollTo(0, 0);
  }

  /** Listens to the browser's buttons and to links; returns the way out. */
  listen(): () => void {
    const onPop = (): void => {
      this.#address = location.pathname + location.search;
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
