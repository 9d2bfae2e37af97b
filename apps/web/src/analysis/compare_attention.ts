// One attention head in two variants: the difference of its two maps, and where it is largest.

/** A query's attention over the keys that it may see; further entries are not read. */
export type AttentionRow = (query: number) => ArrayLike<number>;

export interface LargestDifference {
  query: number;
  key: number;
  a: number;
  b: number;
}

/** Return B − A over the keys that the query can see, in float64. */
export function differenceRow(
  a: AttentionRow,
  b: AttentionRow,
  query: number,
  keys = query + 1,
): Float64Array {
  const [from, to] = [a(query), b(query)];
  return Float64Array.from({ length: keys }, (_, key) => (to[key] ?? 0) - (from[key] ?? 0));
}

/** Return the cell where the two maps differ most, the first of equals; null without tokens. */
export function largestDifference(
  a: AttentionRow,
  b: AttentionRow,
  tokens: number,
  keys: (query: number) => number = (query) => query + 1,
): LargestDifference | null {
  let found: LargestDifference | null = null;
  let furthest = -1;
  for (let query = 0; query < tokens; query++) {
    const [from, to] = [a(query), b(query)];
    for (let key = 0; key < keys(query); key++) {
      const cell = { query, key, a: from[key] ?? 0, b: to[key] ?? 0 };
      if (Math.abs(cell.b - cell.a) <= furthest) continue;
      furthest = Math.abs(cell.b - cell.a);
      found = cell;
    }
  }
  return found;
}
