// Finds the next cell for an arrow key in a grid of rows and columns. The views know the grid's cells.

/** Return the cell that a key leads to; null for any other key. */
export function nextCell(
  key: string,
  at: { row: number; column: number },
  rows: number,
  columns: number,
): { row: number; column: number } | null {
  const clampRow = (row: number): number => Math.min(rows - 1, Math.max(0, row));
  const clampColumn = (column: number): number => Math.min(columns - 1, Math.max(0, column));
  switch (key) {
    case 'ArrowUp':
      return { row: clampRow(at.row - 1), column: at.column };
    case 'ArrowDown':
      return { row: clampRow(at.row + 1), column: at.column };
    case 'ArrowLeft':
      return { row: at.row, column: clampColumn(at.column - 1) };
    case 'ArrowRight':
      return { row: at.row, column: clampColumn(at.column + 1) };
    case 'Home':
      return { row: at.row, column: 0 };
    case 'End':
      return { row: at.row, column: clampColumn(columns - 1) };
    case 'PageUp':
      return { row: 0, column: at.column };
    case 'PageDown':
      return { row: clampRow(rows - 1), column: at.column };
    default:
      return null;
  }
}
