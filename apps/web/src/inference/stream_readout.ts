// Reads vectors of the residual stream out through the final norm and the unembedding, as the open variant computes both:
// a run in whose last layer the stream is replaced by these vectors, one for each token of a text that doesn't matter.
import { effectsOnLogits, spread } from '../analysis/neuron_tokens';
import type { ModelShape } from '../contract/generated';
import { ModelError } from './model_error';
import type { RunsBatches } from './patching_sweep';

/** Maximum of the logits of one run. */
const mostLogitBytes = 32 * 2 ** 20;

/** Length to which vectors in front of the final norm are scaled: its epsilon vanishes beside it. */
const long = 100;

/** Return how many vectors one run reads: at least one, and no more than a text may have tokens. */
export function vectorsPerRun({ vocab, context_length }: ModelShape): number {
  return Math.min(context_length, Math.max(1, Math.floor(mostLogitBytes / (4 * vocab))));
}

/** Return the logits of vectors (count, hidden) as (count, vocab); at most `vectorsPerRun` of them. */
export async function readOut(
  vectors: Float32Array,
  shape: ModelShape,
  run: RunsBatches,
): Promise<Float32Array> {
  const { layers, hidden } = shape;
  const count = vectors.length / hidden;
  const value = { shape: [1, count, hidden], values: vectors };
  const found = await run({
    texts: [Array<number>(count).fill(0)],
    edits: [{ edit: 'replace', joint: 'resid_post', layer: layers - 1, value }],
    logits: count,
    activations: [],
  });
  const logits = found.get('logits')?.data;
  if (!(logits instanceof Float32Array) || logits.length < count * shape.vocab)
    throw new ModelError({ kind: 'run', detail: 'no logits of every token' });
  // A graph without a choice gives every token's; the last ones are meant.
  return logits.subarray(logits.length - count * shape.vocab);
}

/** Return the vector with a length beside which the final norm's epsilon vanishes; zeros as they are. */
export function lengthened(vector: Float32Array): Float32Array {
  const length = spread(vector, false);
  return length > 0 ? vector.map((each) => (each / length) * long) : vector;
}

/**
 * Return (vocab): the change of each logit for 1 of a row, (hidden), that is added to a stream, (hidden), in front of the
 * final norm, whose divisor stays the stream's.
 */
export async function effectsOf(
  vectors: { readonly row: Float32Array; readonly stream: Float32Array },
  shape: ModelShape,
  run: RunsBatches,
): Promise<Float32Array> {
  const { hidden, vocab } = shape;
  const { row, stream } = vectors;
  const put = [
    new Float32Array(hidden),
    new Float32Array(hidden).fill(long),
    lengthened(row),
    stream,
    lengthened(stream),
  ];
  const logits: Float32Array[] = [];
  // One at a time: dynamic int8 has one scale for all that it multiplies at once.
  for (const vector of put) logits.push((await readOut(vector, shape, run)).slice(0, vocab));
  const [zero, equal, ofRow, ofStream, ofLong] = logits;
  if (!zero || !equal || !ofRow || !ofStream || !ofLong)
    throw new ModelError({ kind: 'run', detail: 'no logits of a vector' });
  return effectsOnLogits({ zero, equal, row: ofRow, stream: ofStream, long: ofLong }, vectors);
}
