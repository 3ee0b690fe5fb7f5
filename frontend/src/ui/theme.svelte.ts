/** Dark unless the person chose light; the choice stays in this browser. */

export type Theme = "dark" | "light";

const KEY = "cytoloop.theme";

class ThemeChoice {
  current = $state<Theme>(localStorage.getItem(KEY) === "light" ? "light" : "dark");

  apply(): void {
    document.documentElement.dataset["theme"] = this.current;
  }

  toggle(): void {
    this.current = this.current === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, this.current);
    this.apply();
  }
}

export const theme = new ThemeChoice();
