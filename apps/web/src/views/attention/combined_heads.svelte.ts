// The map of several heads together, put together a head at a time within frames: a long text has many values.
import { CombinedMap, type MapRow } from '../../analysis/attention_maps';
import { inSlices } from '../../charts/in_slices';

export interface CombinedHeads {
  readonly rows: readonly MapRow[];
  readonly over: 'mean' | 'max';
  readonly tokens: number;
  /** Returns how many of the first tokens a query may see. */
  readonly keys: (query: number) => number;
}

export interface CombinedResult {
  readonly of: CombinedHeads;
  readonly row: MapRow;
}

/** Return a reader of the newest map; that of the heads before stays until it is there. Null where none is asked for. */
export function combinedHeads(given: () => CombinedHeads | null): () => CombinedResult | null {
  let found = $state.raw<CombinedResult | null>(null);
  $effect(() => {
    const of = given();
    if (of === null) {
      found = null;
      return;
    }
    const map = new CombinedMap(of.tokens, of.over, of.keys);
    return inSlices(
      of.rows.length,
      (index) => {
        const row = of.rows[index];
        if (row !== undefined) map.add(row);
      },
      () => {
        found = { of, row: map.finish() };
      },
    );
  });
  return () => found;
}
