// The part of a square map that is drawn: how it is chosen, moved and kept inside the map. Pure; where its cells stand on the
// screen is attention_layout's matter.

export interface Cell {
  row: number;
  column: number;
}

/** `span` tokens each way: rows from token `row` on, columns from token `column` on. */
export interface MapWindow extends Cell {
  span: number;
}

/** A closer look than this shows nothing more: cells have their largest size. */
export const SMALLEST_SPAN = 8;

export function wholeMap(tokens: number): MapWindow {
  return { row: 0, column: 0, span: Math.max(1, tokens) };
}

/**
 * The window that a map of `tokens` shows: the whole map for null, or for a window that leaves nothing out. One that a
 * link names may lie anywhere.
 */
export function shownWindow(wanted: MapWindow | null, tokens: number): MapWindow {
  if (wanted === null) return wholeMap(tokens);
  const span = Math.max(SMALLEST_SPAN, wanted.span);
  return span >= tokens ? wholeMap(tokens) : inside({ ...wanted, span }, tokens);
}

/** A window with `span` tokens each way, in which `cell` keeps its place relative to the edges. */
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
 * The window after two fingers on it went apart by the factor `spread` and their middle went from `from` to `to`: what
 * was under the middle stays under it.
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

/** The square that a drag from one cell to another marks: as wide as its longer side, and begun where the drag began. */
export function windowBetween(from: Cell, to: Cell, tokens: number): MapWindow {
  const [down, across] = [to.row - from.row, to.column - from.column];
  const span = Math.max(SMALLEST_SPAN, Math.abs(down) + 1, Math.abs(across) + 1);
  const start = (at: number, way: number): number => (way < 0 ? at - span + 1 : at);
  return inside({ row: start(from.row, down), column: start(from.column, across), span }, tokens);
}

/** The window, moved by half of its span in each direction that is not 0. */
export function moved(window: MapWindow, down: number, across: number, tokens: number): MapWindow {
  const step = Math.max(1, Math.floor(window.span / 2));
  return inside(
    { ...window, row: window.row + down * step, column: window.column + across * step },
    tokens,
  );
}

/** The window, moved just so far that `cell` is in it. */
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
