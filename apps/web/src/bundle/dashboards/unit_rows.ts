// Rows of dashboards from the bytes of a Parquet file's footer and of one group of its rows, which were proven by their
// digests. Whoever made them may be a stranger: each value is checked. docs/dashboards.md says what the columns are.
import { parquetMetadata, parquetReadObjects, snappyUncompress } from 'hyparquet';
import type { DashboardFile, DashboardRows } from '../../contract/generated';
import { BundleError } from '../bundle_error';
import { SCORES, type Score } from './scores';

/** A token id with a number: a share of firings, or what is added to its logit. */
export interface WeighedToken {
  readonly id: number;
  readonly value: number;
}

export interface UnitPassage {
  /** Place in the corpus: the shard, the context in it, the position of the peak. */
  readonly shard: number;
  readonly context: number;
  readonly position: number;
  /** Place of the peak among the tokens. */
  readonly peak: number;
  readonly ids: readonly number[];
  readonly values: readonly number[];
}

export interface Neighbour {
  /** Place in the record's `groups`. */
  readonly group: number;
  readonly unit: number;
  readonly overlap: number;
}

export interface UnitRow {
  readonly unit: number;
  readonly scores: Readonly<Record<Score, number>>;
  readonly histogram: {
    readonly low: number;
    readonly high: number;
    readonly counts: readonly number[];
  };
  readonly firing: readonly WeighedToken[];
  readonly promoted: readonly WeighedToken[];
  readonly suppressed: readonly WeighedToken[];
  readonly neighbours: readonly Neighbour[];
  readonly passages: readonly UnitPassage[];
}

/** The sizes that a row's tokens, groups and units must lie within. */
export interface RowBounds {
  readonly vocab: number;
  /** Units of each group of the record. */
  readonly groups: readonly number[];
}

/** Bytes that one column of a group of rows may unfold to. */
const mostUnfolded = 64 * 2 ** 20;
/** Items of any list. */
const mostItems = 4096;

/** Read one group of a file's rows. `first` is the number of its first unit in the layer. Throws a BundleError. */
export async function readRows(
  file: DashboardFile,
  rows: DashboardRows,
  first: number,
  parts: { readonly footer: Uint8Array<ArrayBuffer>; readonly rows: Uint8Array<ArrayBuffer> },
  bounds: RowBounds,
): Promise<UnitRow[]> {
  try {
    const metadata = parquetMetadata(parts.footer.slice().buffer);
    const start = file.row_groups
      .slice(0, file.row_groups.indexOf(rows))
      .reduce((sum, { units }) => sum + units, 0);
    if (metadata.row_groups.length !== file.row_groups.length)
      throw new RangeError('other groups of rows');
    if (Number(metadata.num_rows) !== file.units) throw new RangeError(`${metadata.num_rows} rows`);
    const found = await parquetReadObjects({
      file: { byteLength: file.bytes, slice: (from, to) => partOf(rows, parts.rows, from, to) },
      metadata,
      rowStart: start,
      rowEnd: start + rows.units,
      compressors: { SNAPPY: unfold },
    });
    if (found.length !== rows.units) throw new RangeError(`${found.length} rows`);
    return found.map((row, at) => checkedRow(row, first + start + at, bounds));
  } catch (cause) {
    const got = cause instanceof Error ? cause.message.slice(0, 200) : 'no table';
    throw new BundleError(
      { kind: 'integrity', path: file.path, expected: 'a table of units', got },
      { cause },
    );
  }
}

function unfold(input: Uint8Array, bytes: number): Uint8Array {
  if (bytes > mostUnfolded) throw new RangeError(`a column of ${bytes} bytes`);
  const output = new Uint8Array(bytes);
  snappyUncompress(input, output);
  return output;
}

function partOf(
  { begin }: DashboardRows,
  bytes: Uint8Array<ArrayBuffer>,
  from: number,
  to = NaN,
): ArrayBuffer {
  if (!(from >= begin && to <= begin + bytes.length))
    throw new RangeError(`bytes ${from} to ${to}`);
  return bytes.slice(from - begin, to - begin).buffer;
}

function checkedRow(
  row: Readonly<Record<string, unknown>>,
  unit: number,
  bounds: RowBounds,
): UnitRow {
  const isToken = (value: number): boolean => isBelow(value, bounds.vocab);
  const weighed = (ids: string, values: string): WeighedToken[] => {
    const [tokens, numbers] = [list(row, ids, isToken), list(row, values)];
    sameLength(tokens, numbers, ids);
    return tokens.map((id, at) => ({ id, value: numbers[at] ?? NaN }));
  };
  if (one(row, 'unit') !== unit)
    throw new RangeError(`unit ${String(row['unit'])} instead of ${unit}`);
  const scores = Object.fromEntries(SCORES.map((name) => [name, one(row, name)])) as Record<
    Score,
    number
  >;
  return {
    unit,
    scores,
    histogram: {
      low: one(row, 'histogram_low'),
      high: one(row, 'histogram_high'),
      counts: list(row, 'histogram', isCount),
    },
    firing: weighed('firing_tokens', 'firing_shares'),
    promoted: weighed('promoted', 'promoted_by'),
    suppressed: weighed('suppressed', 'suppressed_by'),
    neighbours: neighboursOf(row, bounds),
    passages: passagesOf(row, isToken),
  };
}

function neighboursOf(row: Readonly<Record<string, unknown>>, { groups }: RowBounds): Neighbour[] {
  const places = list(row, 'neighbour_groups', (value) => isBelow(value, groups.length));
  const units = list(row, 'neighbour_units', isCount);
  const overlaps = list(row, 'neighbour_overlaps');
  sameLength(places, units, 'neighbours');
  sameLength(places, overlaps, 'neighbours');
  return places.map((group, at) => {
    const unit = units[at] ?? NaN;
    if (!isBelow(unit, groups[group] ?? 0))
      throw new RangeError(`a neighbour ${unit} of group ${group}`);
    return { group, unit, overlap: overlaps[at] ?? NaN };
  });
}

function passagesOf(
  row: Readonly<Record<string, unknown>>,
  isToken: (id: number) => boolean,
): UnitPassage[] {
  const [shards, contexts] = [
    list(row, 'passage_shards', isCount),
    list(row, 'passage_contexts', isCount),
  ];
  const [positions, peaks] = [
    list(row, 'passage_positions', isCount),
    list(row, 'passage_peaks', isCount),
  ];
  const [tokens, values] = [lists(row, 'passage_tokens', isToken), lists(row, 'passage_values')];
  for (const each of [contexts, positions, peaks, tokens, values])
    sameLength(shards, each, 'passages');
  return tokens.map((ids, at) => {
    const [own, peak] = [values[at] ?? [], peaks[at] ?? NaN];
    sameLength(ids, own, 'a passage');
    if (!isBelow(peak, ids.length))
      throw new RangeError(`a peak at ${peak} of ${ids.length} tokens`);
    const place = {
      shard: shards[at] ?? NaN,
      context: contexts[at] ?? NaN,
      position: positions[at] ?? NaN,
    };
    return { ...place, peak, ids, values: own };
  });
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isBelow(value: number, end: number): boolean {
  return isCount(value) && value < end;
}

function sameLength(a: readonly unknown[], b: readonly unknown[], what: string): void {
  if (a.length !== b.length) throw new RangeError(`${what}: ${a.length} beside ${b.length}`);
}

function one(row: Readonly<Record<string, unknown>>, name: string): number {
  return numberOf(row[name], name, () => true);
}

function list(
  row: Readonly<Record<string, unknown>>,
  name: string,
  isRight: (value: number) => boolean = () => true,
): number[] {
  return numbersOf(row[name], name, isRight);
}

function lists(
  row: Readonly<Record<string, unknown>>,
  name: string,
  isRight: (value: number) => boolean = () => true,
): number[][] {
  return itemsOf(row[name], name).map((each) => numbersOf(each, name, isRight));
}

function numbersOf(value: unknown, name: string, isRight: (value: number) => boolean): number[] {
  return itemsOf(value, name).map((each) => numberOf(each, name, isRight));
}

function itemsOf(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value) && !ArrayBuffer.isView(value)) throw new RangeError(`${name}: no list`);
  const items: readonly unknown[] = Array.isArray(value)
    ? value
    : Array.from(value as Float32Array);
  if (items.length > mostItems) throw new RangeError(`${name}: ${items.length} items`);
  return items;
}

function numberOf(value: unknown, name: string, isRight: (value: number) => boolean): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || !isRight(number))
    throw new RangeError(`${name}: ${String(value).slice(0, 40)}`);
  return number;
}
