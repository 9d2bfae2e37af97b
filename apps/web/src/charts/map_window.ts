// Chooses and moves the part of a square map that is drawn, and keeps it inside the map. Pure; attention_layout.ts
// computes the positions on the screen.

export interface Cell {
  row: number;
  column: number;
}

/** `span` tokens each way: rows from token `row` on, columns from token `column` on. */
export interface MapWindow extends Cell {
  span: number;
}

/** Smallest span of a window: cells have their largest size then, so that zooming in further shows no more. */
export const SMALLEST_SPAN = 8;

export function wholeMap(tokens: number): MapWindow {
  return { row: 0, column: 0, span: Math.max(1, tokens) };
}

/**
 * Return the window that a map of `tokens` shows: the whole map for null, or for a window that covers it. A link's
 * window may lie outside the map.
 */
export function shownWindow(wanted: MapWindow | null, tokens: number): MapWindow {
  if (wanted === null) return wholeMap(tokens);
  const span = Math.max(SMALLEST_SPAN, wanted.span);
  return span >= tokens ? wholeMap(tokens) : inside({ ...wanted, span }, tokens);
}

/** Return a window with `span` tokens each way, in which `cell` keeps its place relative to the edges. */
export function withSpan(
  window: MapWindow,
  span: number,
  cell: Cell | null,
  tokens: number,
): MapWindow {
  const about = cell ?? {
    row: window.row + (window.span - 1) / 2,
    column: window.column + (window.span - 1) / 2,
  };
  const target = Math.min(tokens, Math.max(SMALLEST_SPAN, Math.round(span)));
  const start = (from: number, at: number): number =>
    Math.round(at + 0.5 - ((at + 0.5 - from) * target) / window.span);
  return inside(
    { row: start(window.row, about.row), column: start(window.column, about.column), span: target },
    tokens,
  );
}

/** A point of the drawn part: 0 is its left or upper edge, 1 its right or lower one. */
export interface Point {
  across: number;
  down: number;
}

/**
 * Return the window after two fingers on it went apart by the factor `spread` and their middle went from `from` to
 * `to`: the point under the middle stays under it.
 */
export function pinched(
  window: MapWindow,
  spread: number,
  from: Point,
  to: Point,
  tokens: number,
): MapWindow {
  const least = Math.min(SMALLEST_SPAN, tokens);
  const span = Math.min(tokens, Math.max(least, Math.round(window.span / spread)));
  return inside(
    {
      row: Math.round(window.row + from.down * window.span - to.down * span),
      column: Math.round(window.column + from.across * window.span - to.across * span),
      span,
    },
    tokens,
  );
}

/** Return the square that a drag from one cell to another marks: with its longer side, from where the drag began. */
export function windowBetween(from: Cell, to: Cell, tokens: number): MapWindow {
  const [down, across] = [to.row - from.row, to.column - from.column];
  const span = Math.max(SMALLEST_SPAN, Math.abs(down) + 1, Math.abs(across) + 1);
  const start = (at: number, way: number): number => (way < 0 ? at - span + 1 : at);
  return inside({ row: start(from.row, down), column: start(from.column, across), span }, tokens);
}

/** Return the window, moved by half of its span in each direction that is not 0. */
export function moved(window: MapWindow, down: number, across: number, tokens: number): MapWindow {
  const step = Math.max(1, Math.floor(window.span / 2));
  return inside(
    { ...window, row: window.row + down * step, column: window.column + across * step },
    tokens,
  );
}

/** Return the window, moved just so far that `cell` is in it. */
export function windowShowing(window: MapWindow, cell: Cell): MapWindow {
  const start = (from: number, at: number): number =>
    Math.min(at, Math.max(from, at - window.span + 1));
  return {
    ...window,
    row: start(window.row, cell.row),
    column: start(window.column, cell.column),
  };
}

export function sameWindow(a: MapWindow, b: MapWindow): boolean {
  return a.row === b.row && a.column === b.column && a.span === b.span;
}

function inside({ row, column, span }: MapWindow, tokens: number): MapWindow {
  const kept = Math.max(1, Math.min(span, tokens));
  const start = (from: number): number => Math.max(0, Math.min(from, tokens - kept));
  return { row: start(row), column: start(column), span: kept };
}
