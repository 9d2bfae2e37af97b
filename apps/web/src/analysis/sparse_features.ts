// The features of a dictionary on a text, of which most are 0: those above 0 alone, and how well they rebuild what the
// dictionary writes. Reading them from a model: inference/feature_reading.ts.
import { largest } from './probabilities';

/** The values above 0 of all tokens, one token after another. */
export interface SparseFeatures {
  /** (tokens + 1): where each token's values begin, and where the last one's end. */
  readonly starts: Uint32Array<ArrayBuffer>;
  /** Numbers of the features, rising within a token. */
  readonly features: Uint32Array<ArrayBuffer>;
  readonly values: Float32Array<ArrayBuffer>;
}

export interface FeatureValue {
  readonly feature: number;
  readonly value: number;
}

/** Return the values above 0 of a dense table, (tokens, features). */
export function sparseOf(dense: Float32Array, tokens: number): SparseFeatures {
  const width = tokens === 0 ? 0 : dense.length / tokens;
  const starts = new Uint32Array(tokens + 1);
  for (let at = 0; at < tokens; at++) {
    let count = 0;
    for (let of = at * width; of < (at + 1) * width; of++) if ((dense[of] ?? 0) > 0) count++;
    starts[at + 1] = (starts[at] ?? 0) + count;
  }
  const total = starts[tokens] ?? 0;
  const [features, values] = [new Uint32Array(total), new Float32Array(total)];
  let place = 0;
  for (let at = 0; at < tokens; at++)
    for (let of = 0; of < width; of++) {
      const value = dense[at * width + of] ?? 0;
      if (!(value > 0)) continue;
      features[place] = of;
      values[place++] = value;
    }
  return { starts, features, values };
}

/** Return the number of features above 0 at a token. */
export function countAt({ starts }: SparseFeatures, position: number): number {
  return (starts[position + 1] ?? 0) - (starts[position] ?? 0);
}

/** Return the mean number of features above 0 at a token, without the first token; NaN for one token alone. */
export function meanCount({ starts }: SparseFeatures): number {
  const rest = starts.length - 2;
  return rest < 1 ? NaN : ((starts.at(-1) ?? 0) - (starts[1] ?? 0)) / rest;
}

/** Return all features above 0 at a token, in the order of their numbers. */
export function featuresAt(
  { starts, features, values }: SparseFeatures,
  position: number,
): FeatureValue[] {
  const found: FeatureValue[] = [];
  for (let at = starts[position] ?? 0; at < (starts[position + 1] ?? 0); at++)
    found.push({ feature: features[at] ?? 0, value: values[at] ?? 0 });
  return found;
}

/** Return the features with the largest values at a token, largest first; equal ones by lower number. */
export function strongestAt(
  sparse: SparseFeatures,
  position: number,
  count: number,
): FeatureValue[] {
  const all = featuresAt(sparse, position);
  return largest(
    all.map(({ value }) => value),
    count,
  ).flatMap((at) => all[at] ?? []);
}

/** Return (tokens): one feature's values along the text. */
export function alongText(
  { starts, features, values }: SparseFeatures,
  feature: number,
): Float32Array {
  const along = new Float32Array(starts.length - 1);
  for (let position = 0; position < along.length; position++)
    for (let at = starts[position] ?? 0; at < (starts[position + 1] ?? 0); at++)
      if (features[at] === feature) along[position] = values[at] ?? 0;
  return along;
}

/** The share of an activation's variance that a dictionary explains: 1 where it is rebuilt exactly. */
export interface Explained {
  /** (tokens): of each token by itself. NaN for the first, and where the activation is the text's mean. */
  readonly tokens: Float32Array<ArrayBuffer>;
  /** The same for all tokens but the first together; NaN where no two are left. */
  readonly text: number;
}

/**
 * Return 1 − ‖x − x̂‖² / ‖x − m‖² of the tokens and of their sums, where m is the text's mean. `given` is x and `rebuilt`
 * x̂, (tokens, width). The first token is left out of both, as in a dictionary's own figures: its activation is often many
 * times as long as all others, and they would be hidden by it.
 */
export function explainedVariance(
  given: Float32Array,
  rebuilt: Float32Array,
  tokens: number,
): Explained {
  const width = given.length / tokens;
  const mean = new Float64Array(width);
  for (let at = width; at < given.length; at++)
    mean[at % width] = (mean[at % width] ?? 0) + (given[at] ?? 0) / (tokens - 1);
  const each = new Float32Array(tokens).fill(NaN);
  let [errors, spreads] = [0, 0];
  for (let token = 1; token < tokens; token++) {
    let [error, spread] = [0, 0];
    for (let at = 0; at < width; at++) {
      const value = given[token * width + at] ?? NaN;
      error += (value - (rebuilt[token * width + at] ?? NaN)) ** 2;
      spread += (value - (mean[at] ?? NaN)) ** 2;
    }
    each[token] = spread > 0 ? 1 - error / spread : NaN;
    errors += error;
    spreads += spread;
  }
  return { tokens: each, text: spreads > 0 ? 1 - errors / spreads : NaN };
}
