// Reads what the model expected at every token of a text: the probability and the rank of the token that stands there,
// and the likeliest others. Rows of logits are reduced where they are computed, since all of a long text are as large
// as weights.
import { entropyBits, largest, logSumOfExp, rankOf, softmax } from '../analysis/probabilities';
import type { ModelShape } from '../contract/generated';
import { continuesText } from '../contract/whole_text';
import type { Interventions } from './interventions';
import { prefixEdits } from './prefix_edits';
import type { BatchValues, EngineBatch } from './patching_sweep';

export interface AlternativesRequest {
  readonly ids: readonly number[];
  readonly interventions?: Interventions;
  /** Number of likeliest tokens to return at each position. */
  readonly top: number;
  /** First position that is asked for; 1 by default, since nothing predicts a continued text's first token. */
  readonly from?: number;
}

/** One row for each position from `from` on. */
export interface Alternatives {
  readonly from: number;
  readonly top: number;
  /** Natural logarithm of the probability of the token that stands there, (positions). */
  readonly logProbabilities: Float64Array;
  /** 0 for the likeliest, (positions). */
  readonly ranks: Int32Array;
  /** Entropy of the prediction in bits, (positions). */
  readonly entropies: Float64Array;
  /** The likeliest tokens, (positions, top). */
  readonly topIds: Int32Array;
  /** Natural logarithms of their probabilities, (positions, top). */
  readonly topLogProbabilities: Float64Array;
}

/** Most bytes of logits that one run gives. */
export const LOGITS_BYTES = 64 * 2 ** 20;

/** Return empty rows for the positions of a request. */
export function noAlternatives({ ids, top, from = 1 }: AlternativesRequest): Alternatives {
  const positions = Math.max(0, ids.length - from);
  return {
    ...{
      from,
      top,
      logProbabilities: new Float64Array(positions),
      ranks: new Int32Array(positions),
    },
    entropies: new Float64Array(positions),
    topIds: new Int32Array(positions * top),
    topLogProbabilities: new Float64Array(positions * top),
  };
}

/** Fill in the row of one position from the logits that predict it. */
export function readRow(
  into: Alternatives,
  position: number,
  token: number,
  logits: Float32Array,
): void {
  const row = position - into.from;
  const total = logSumOfExp(logits);
  into.logProbabilities[row] = (logits[token] ?? -Infinity) - total;
  into.ranks[row] = rankOf(logits, token);
  into.entropies[row] = entropyBits(softmax(logits));
  largest(logits, into.top).forEach((id, at) => {
    into.topIds[row * into.top + at] = id;
    into.topLogProbabilities[row * into.top + at] = (logits[id] ?? -Infinity) - total;
  });
}

/**
 * Run the text and read every position. A text whose logits take more than `most` bytes is run several times, up to a
 * later token each time. A model that continues no text reads it whole, and every position is over the token there.
 */
export async function alternativesOf(
  request: AlternativesRequest,
  { vocab, bidirectional }: Pick<ModelShape, 'vocab' | 'bidirectional'>,
  run: (batch: EngineBatch) => Promise<BatchValues>,
  most = LOGITS_BYTES,
): Promise<Alternatives> {
  const { ids, interventions = [] } = request;
  const found = noAlternatives({ ...request, top: Math.min(request.top, vocab) });
  if (!continuesText({ bidirectional: bidirectional ?? false })) {
    const rows = ids.length - found.from;
    const texts = [ids];
    const values = await run({ texts, edits: interventions, logits: rows, activations: [] });
    const data = values.get('logits')?.data as Float32Array;
    const skipped = data.length / vocab - rows;
    for (let row = 0; row < rows; row++) {
      const logits = data.subarray((skipped + row) * vocab, (skipped + row + 1) * vocab);
      readRow(found, found.from + row, ids[found.from + row] ?? 0, logits);
    }
    return found;
  }
  const atOnce = Math.max(1, Math.floor(most / (vocab * Float32Array.BYTES_PER_ELEMENT)));
  for (let first = found.from; first < ids.length; first += atOnce) {
    const end = Math.min(ids.length, first + atOnce);
    // The token before predicts each.
    const texts = [ids.slice(0, end - 1)];
    const edits = prefixEdits(interventions, ids.length, end - 1);
    const values = await run({ texts, edits, logits: end - first, activations: [] });
    const data = values.get('logits')?.data as Float32Array;
    // A graph may give more rows than it was asked for: the last ones are these.
    const skipped = data.length / vocab - (end - first);
    for (let position = first; position < end; position++) {
      const row = skipped + position - first;
      readRow(found, position, ids[position] ?? 0, data.subarray(row * vocab, (row + 1) * vocab));
    }
  }
  return found;
}

/** List the arrays, to transfer them. */
export function alternativesBuffers(found: Alternatives): ArrayBufferLike[] {
  const { logProbabilities, ranks, entropies, topIds, topLogProbabilities } = found;
  return [logProbabilities, ranks, entropies, topIds, topLogProbabilities].map(
    ({ buffer }) => buffer,
  );
}
