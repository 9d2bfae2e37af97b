// QK attribution: which earlier parts of the model make a head attend from one token to another, from the parts of its
// query and key. docs/interventions.md defines the parts. The same in Python: oriel/analysis/qk_attribution.py.
import { rowsOf, type Numbers, type Values } from './values';

/**
 * A part of the stream: `attention_rest` is the attention output that comes from no head; `bias` stands for the biases
 * of the norm and of the query and key matrices.
 */
export interface Part {
  readonly kind: 'embedding' | 'head' | 'attention_rest' | 'mlp' | 'bias';
  readonly layer?: number;
  readonly head?: number;
}

/** List the parts of the stream that enters a layer, in the order of their values, with the bias last. */
export function scoreParts(headsOfLayers: readonly number[]): Part[] {
  const ofLayers = headsOfLayers.flatMap((heads, layer): Part[] => [
    ...Array.from({ length: heads }, (_, head) => ({ kind: 'head', layer, head }) as const),
    { kind: 'attention_rest', layer },
    { kind: 'mlp', layer },
  ]);
  return [{ kind: 'embedding' }, ...ofLayers, { kind: 'bias' }];
}

/**
 * Multiply the parts of a query with those of a key, each (parts, width). Return (parts, parts), which sum to the
 * score.
 */
export function scoreProducts(queries: Values, keys: Values, scale: number): Numbers {
  const { count: rows, width } = rowsOf(queries);
  const { count: columns } = rowsOf(keys);
  const data = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let at = 0; at < width; at++)
        sum += (queries.data[row * width + at] ?? 0) * (keys.data[column * width + at] ?? 0);
      data[row * columns + column] = scale * sum;
    }
  return { dims: [rows, columns], data };
}

/** Return the share of each part at the query, summed over all parts at the key. */
export function byQuery({ dims: [rows = 0, columns = 0], data }: Values): Float64Array {
  return sums(rows, (row) => Array.from({ length: columns }, (_, at) => data[row * columns + at]));
}

/** Return the share of each part at the key, summed over all parts at the query. */
export function byKey({ dims: [rows = 0, columns = 0], data }: Values): Float64Array {
  return sums(columns, (column) =>
    Array.from({ length: rows }, (_, at) => data[at * columns + column]),
  );
}

function sums(count: number, numbersOf: (at: number) => (number | undefined)[]): Float64Array {
  return Float64Array.from({ length: count }, (_, at) =>
    numbersOf(at).reduce<number>((sum, number) => sum + (number ?? 0), 0),
  );
}
