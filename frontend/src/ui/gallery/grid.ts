/**
 * Where the tiles of a long list lie, and which of them are in view. Only those are in the page: a
 * hundred thousand cells take as long as a screenful. Lengths in CSS pixels; no DOM.
 */

export interface Grid {
  readonly count: number;
  readonly columns: number;
  /** From one tile's edge to the next tile's. */
  readonly pitch: number;
  readonly tile: number;
  /** Empty space at the left, so that the tiles stand in the middle. */
  readonly margin: number;
  /** Of all rows. */
  readonly height: number;
}

/** Half-open: tiles from … to, without `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Rectangle {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

export const GAP = 6;
/** Rows above and below the view that are in the page already: a scrolled row is there at once. */
const SPARE_ROWS = 2;

export function gridOf(count: number, width: number, tile: number): Grid {
  const pitch = tile + GAP;
  const columns = Math.max(1, Math.floor((width + GAP) / pitch));
  const rows = Math.ceil(count / columns);
  const margin = Math.max(0, Math.floor((width - (columns * pitch - GAP)) / 2));
  return { count, columns, pitch, tile, margin, height: Math.max(0, rows * pitch - GAP) };
}

/** The tiles that have to be in the page for a view of `height` at `top`. */
export function inView(grid: Grid, top: number, height: number, spare = SPARE_ROWS): Range {
  const first = Math.max(0, Math.floor(top / grid.pitch) - spare);
  const last = Math.ceil((top + height) / grid.pitch) + spare;
  return {
    from: Math.min(grid.count, first * grid.columns),
    to: Math.max(0, Math.min(grid.count, last * grid.columns)),
  };
}

export function cornerOf(grid: Grid, at: number): { readonly x: number; readonly y: number } {
  return {
    x: grid.margin + (at % grid.columns) * grid.pitch,
    y: Math.floor(at / grid.columns) * grid.pitch,
  };
}

/** The tile at a point of the content; null between and beyond tiles. */
export function tileAt(grid: Grid, x: number, y: number): number | null {
  const column = Math.floor((x - grid.margin) / grid.pitch);
  const row = Math.floor(y / grid.pitch);
  if (column < 0 || column >= grid.columns || row < 0) return null;
  const onTile =
    x - grid.margin - column * grid.pitch < grid.tile && y - row * grid.pitch < grid.tile;
  const at = row * grid.columns + column;
  return onTile && at < grid.count ? at : null;
}

/** All tiles that a rubber band touches. */
export function touched(grid: Grid, band: Rectangle): number[] {
  const columns = reached(band.x0 - grid.margin, band.x1 - grid.margin, grid, grid.columns);
  const rows = reached(band.y0, band.y1, grid, Math.ceil(grid.count / grid.columns));
  const found: number[] = [];
  for (let row = rows.from; row < rows.to; row++) {
    for (let column = columns.from; column < columns.to; column++) {
      const at = row * grid.columns + column;
      if (at < grid.count) found.push(at);
    }
  }
  return found;
}

/** Rows or columns of which a stretch touches a tile, not only the gap behind it. */
function reached(start: number, end: number, { pitch, tile }: Grid, most: number): Range {
  const first = Math.floor(start / pitch);
  const onGap = start - first * pitch >= tile;
  return {
    from: Math.max(0, onGap ? first + 1 : first),
    to: Math.min(most, Math.floor(end / pitch) + 1),
  };
}

/** Where a key leads from tile `at` in a view of so many whole rows; null: it is no such key. */
export function moved(grid: Grid, at: number, key: string, rows: number): number | null {
  const { columns, count } = grid;
  const page = Math.max(1, rows) * columns;
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    PageUp: -page,
    PageDown: page,
    Home: -count,
    End: count,
  };
  const step = Object.hasOwn(steps, key) ? steps[key] : undefined;
  if (step === undefined || count === 0) return null;
  const to = at + step;
  if (to >= 0 && to < count) return to;
  // Up from the first row and down to where the last row has no tile lead nowhere else.
  if (key === "ArrowUp") return at;
  if (key === "ArrowDown") {
    return Math.floor(at / columns) < Math.floor((count - 1) / columns) ? count - 1 : at;
  }
  return Math.min(count - 1, Math.max(0, to));
}

/** How far to scroll so that tile `at` is in a view of `height` at `top`. */
export function scrolledTo(grid: Grid, at: number, top: number, height: number): number {
  const { y } = cornerOf(grid, at);
  if (y < top) return y;
  if (y + grid.tile > top + height) return y + grid.tile - height;
  return top;
}
