// Computes the cells of a drawn map: the values of a window one by one, or, where tokens outnumber pixels, pooled over
// squares of `perCell` tokens each way into the value furthest from 0. For weights that is the largest.
import type { Cell, MapWindow } from './map_window';
import type { MatrixSource } from './matrix_pixels';

/** Row `query` of the whole map; it may be shorter than the map is wide. */
export type RowReader = (query: number) => ArrayLike<number>;

/** Return the number of tokens on each side of a drawn cell, so that `span` tokens fit into `pixels`. */
export function tokensPerCell(span: number, pixels: number): number {
  return Math.max(1, Math.ceil(span / Math.max(1, Math.floor(pixels))));
}

/** Return the drawn cells of a window. Values at or below `masked` are no values; a cell without any is left clear. */
export function drawnCells(
  row: RowReader,
  masked: number,
  window: MapWindow,
  perCell: number,
): MatrixSource {
  const cells = Math.ceil(window.span / perCell);
  const read = (drawn: number): ArrayLike<number> => {
    const pooled = new Float64Array(cells).fill(masked);
    const first = window.row + drawn * perCell;
    const end = Math.min(first + perCell, window.row + window.span);
    for (let query = first; query < end; query++) {
      const values = row(query);
      const last = Math.min(values.length, window.column + window.span);
      for (let key = window.column; key < last; key++) {
        const value = values[key] ?? 0;
        const at = Math.floor((key - window.column) / perCell);
        const held = pooled[at] ?? masked;
        if (value > masked && (!(held > masked) || Math.abs(value) > Math.abs(held)))
          pooled[at] = value;
      }
    }
    return pooled;
  };
  return { rows: cells, columns: cells, row: read, masked };
}

/** Return the cell of the map whose value is drawn where `cell` lies; `cell` itself where nothing is drawn. */
export function cellDrawnAt(
  row: RowReader,
  masked: number,
  window: MapWindow,
  perCell: number,
  cell: Cell,
): Cell {
  if (perCell === 1) return cell;
  const start = (at: number, from: number): number => at - ((at - from) % perCell);
  const top = start(cell.row, window.row);
  const left = start(cell.column, window.column);
  let found: Cell | null = null;
  let furthest = -1;
  for (let query = top; query < Math.min(top + perCell, window.row + window.span); query++) {
    const values = row(query);
    const end = Math.min(left + perCell, window.column + window.span, values.length);
    for (let key = left; key < end; key++) {
      const value = values[key] ?? 0;
      if (value > masked && Math.abs(value) > furthest) {
        furthest = Math.abs(value);
        found = { row: query, column: key };
      }
    }
  }
  return found ?? cell;
}

/** Return the values written in the cells of a window, each with its cell counted from the window's corner. */
export function printedValues(
  row: RowReader,
  masked: number,
  window: MapWindow,
): (Cell & { value: number })[] {
  const found: (Cell & { value: number })[] = [];
  for (let down = 0; down < window.span; down++) {
    const values = row(window.row + down);
    const end = Math.min(window.span, values.length - window.column);
    for (let across = 0; across < end; across++) {
      const value = values[window.column + across] ?? 0;
      if (value > masked) found.push({ row: down, column: across, value });
    }
  }
  return found;
}
