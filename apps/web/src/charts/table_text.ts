// Tables of values as CSV (RFC 4180), with every digit that float32 holds.

export type Cell = string | number;

/** Without it Excel reads UTF-8 as the machine's own encoding. Python's name for it is `utf-8-sig`. */
const BYTE_ORDER_MARK = '\ufeff';

/** Beginnings of texts that a spreadsheet would compute as formulas, full-width ones included. */
const BEGINS_A_FORMULA = /^[=+\-@\t\r＝＋－＠]/;

export function csvOf(rows: Iterable<readonly Cell[]>): string {
  let out = BYTE_ORDER_MARK;
  for (const row of rows) out += row.map(cellText).join(',') + '\r\n';
  return out;
}

/** Write a cell: numbers stay numbers, negative ones too; a text that would be read as a formula gets an apostrophe. */
function cellText(cell: Cell): string {
  if (typeof cell === 'number') return String(cell);
  const text = BEGINS_A_FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
