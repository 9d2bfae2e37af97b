// Compares two predictions over one vocabulary: their divergence, and their likeliest tokens in pairs.
import { largest } from './probabilities';

/** Return natural logarithms of the softmax, in float64: they stay finite where a probability underflows to 0. */
export function logProbabilities(logits: ArrayLike<number>): Float64Array {
  const out = new Float64Array(logits.length);
  let highest = -Infinity;
  for (let id = 0; id < out.length; id++) highest = Math.max(highest, logits[id] ?? -Infinity);
  let total = 0;
  for (let id = 0; id < out.length; id++) total += Math.exp((logits[id] ?? -Infinity) - highest);
  const norm = highest + Math.log(total);
  for (let id = 0; id < out.length; id++) out[id] = (logits[id] ?? -Infinity) - norm;
  return out;
}

/**
 * Return the Kullback–Leibler divergence KL(from ‖ to) in nats. Both arguments are logarithms of
 * probabilities. Infinite where `to` gives probability 0 to a token that `from` allows.
 */
export function divergenceNats(from: Float64Array, to: Float64Array): number {
  let sum = 0;
  for (let id = 0; id < from.length; id++) {
    const log = from[id] ?? -Infinity;
    const p = Math.exp(log);
    if (p > 0) sum += p * (log - (to[id] ?? -Infinity));
  }
  // Rounding can leave the sum of two equal distributions a hair below 0.
  return Math.max(0, sum);
}

/** One token with its probability in each prediction. */
export interface TokenPair {
  id: number;
  a: number;
  b: number;
}

export interface PredictionPair {
  /** Tokens among the likeliest of either, likeliest first by the higher of both. */
  pairs: readonly TokenPair[];
  /** Total probability of all other tokens. */
  rest: { a: number; b: number };
  /** In nats. */
  divergenceAB: number;
  divergenceBA: number;
  /** Ids of the likeliest tokens. */
  bestA: number;
  bestB: number;
}

/** Pair the `count` likeliest tokens of each prediction; `a` and `b` are logits over one vocabulary. */
export function pairPredictions(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  count: number,
): PredictionPair {
  const logA = logProbabilities(a);
  const logB = logProbabilities(b);
  const likeliestA = largest(logA, count);
  const likeliestB = largest(logB, count);
  const pairs = [...new Set([...likeliestA, ...likeliestB])]
    .map((id) => ({ id, a: Math.exp(logA[id] ?? 0), b: Math.exp(logB[id] ?? 0) }))
    .sort((x, y) => Math.max(y.a, y.b) - Math.max(x.a, x.b) || x.id - y.id);
  const left = (of: 'a' | 'b'): number =>
    Math.max(0, 1 - pairs.reduce((sum, pair) => sum + pair[of], 0));
  return {
    pairs,
    rest: { a: left('a'), b: left('b') },
    divergenceAB: divergenceNats(logA, logB),
    divergenceBA: divergenceNats(logB, logA),
    bestA: likeliestA[0] ?? 0,
    bestB: likeliestB[0] ?? 0,
  };
}
