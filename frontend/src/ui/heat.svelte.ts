/** Whether, and how strongly, the heat lies over the queue's thumbnails; kept in this browser. */
const KEY = "cytoloop.queue.heat";

class Heat {
  shown = $state(true);
  /** 0 … 1. */
  opacity = $state(0.8);

  constructor() {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      const { shown, opacity } = kept as { shown?: unknown; opacity?: unknown };
      if (typeof shown === "boolean") this.shown = shown;
      if (typeof opacity === "number" && opacity >= 0 && opacity <= 1) this.opacity = opacity;
    } catch {
      // Storage forbidden or its content damaged: the defaults serve.
    }
  }

  show(shown: boolean): void {
    this.shown = shown;
    this.keep();
  }

  fade(opacity: number): void {
    this.opacity = opacity;
    this.keep();
  }

  private keep(): void {
    const { shown, opacity } = this;
    try {
      localStorage.setItem(KEY, JSON.stringify({ shown, opacity }));
    } catch {
      // Storage forbidden or full: it stays so until the page is left.
    }
  }
}

export const heat = new Heat();

/** The picture's colours from sure to unsure, as the server draws them over black. */
export const HEAT_COLOURS =
  "linear-gradient(90deg, #07020d, #350a4c, #711c57, #b03d4c, #e36d24, #f6bf2e, #e9ed95)";
