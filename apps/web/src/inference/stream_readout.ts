// Reads vectors of the residual stream out through the final norm and the unembedding, as the open variant computes both:
// a run in whose last layer the stream is replaced by these vectors, one for each token of a text that doesn't matter.
import type { ModelShape } from '../contract/generated';
import { ModelError } from './model_error';
import type { RunsBatches } from './patching_sweep';

/** Maximum of the logits of one run. */
const mostLogitBytes = 32 * 2 ** 20;

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
