// Tables of values as CSV (RFC 4180), with every digit that float32 holds.

export type Cell = string | number;

export function csvOf(rows: Iterable<readonly Cell[]>): string {
  let out = '';
  for (const row of rows) out += row.map(cellText).join(',') + '\r\n';
  return out;
}

function cellText(cell: Cell): string {
  if (typeof cell === 'number') return String(cell);
  return /[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
