/** Where the map of a zoomed image lies over it; kept in this browser. */
const FOLDED = "cytoloop.editor.map-folded";
const SIDE = "cytoloop.editor.map-side";

/** What it covers of the view, from its lower corner, in CSS pixels. */
const SIZE = { width: 190, height: 210 };

class MapPlace {
  folded = $state(kept(FOLDED) === "yes");
  side = $state<"left" | "right">(kept(SIDE) === "right" ? "right" : "left");

  fold(): void {
    this.folded = !this.folded;
    keep(FOLDED, this.folded ? "yes" : "no");
  }

  /** To the other corner: there may be cells to draw under this one. */
  change(): void {
    this.side = this.side === "left" ? "right" : "left";
    keep(SIDE, this.side);
  }

  /** What of the lower edge lies under it where something reaches from `left` to `right`. */
  height(left: number, right: number, viewWidth: number): number {
    if (this.folded) return 0;
    const under = this.side === "left" ? left < SIZE.width : right > viewWidth - SIZE.width;
    return under ? SIZE.height : 0;
  }
}

function kept(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Storage forbidden or full: it stays so until the page is left.
  }
}

export const mapPlace = new MapPlace();
/** The map at its full size. */
export const MAP_HEIGHT = SIZE.height;
