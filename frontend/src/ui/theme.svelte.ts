/** Dark unless the person chose light; the choice stays in this browser. */

export type Theme = "dark" | "light";

const KEY = "cytoloop.theme";

function kept(): Theme {
  try {
    return localStorage.getItem(KEY) === "light" ? "light" : "dark";
  } catch {
    // Storage forbidden: dark.
    return "dark";
  }
}

class ThemeChoice {
  current = $state<Theme>(kept());

  apply(): void {
    document.documentElement.dataset["theme"] = this.current;
  }

  toggle(): void {
    this.current = this.current === "dark" ? "light" : "dark";
    this.apply();
    try {
      localStorage.setItem(KEY, this.current);
    } catch {
      // Storage forbidden or full: the look lasts until the page is left.
    }
  }
}

export const theme = new ThemeChoice();
