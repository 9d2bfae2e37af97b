// Measures how far a layer's prediction is from the model's own, from the logits that a lens reads: rank and
// probability of a token, divergence, entropy. The same in Python: oriel/analysis/lens_measures.py.
import { logSoftmax } from './metrics';
import { largest, rankOf } from './probabilities';

/**
 * The quantities that the lens' cells can show: the likeliest token, then numbers of predictions, then numbers of the
 * stream.
 */
export const LENS_MEASURES = [
  ...(['top', 'certainty', 'probability', 'rank', 'divergence', 'entropy'] as const),
  ...(['norm', 'growth', 'turn', 'final'] as const),
] as const;
export type LensMeasure = (typeof LENS_MEASURES)[number];

/** Measures that follow one token through the layers. */
export const FOLLOWING: ReadonlySet<LensMeasure> = new Set(['probability', 'rank']);

/** Measures of resid_post itself, which no lens changes. */
export const OF_STREAM: ReadonlySet<LensMeasure> = new Set(['norm', 'growth', 'turn', 'final']);

/** The quantity that the reader wants in the cells. */
export interface LensShown {
  readonly measure: LensMeasure;
  /** The token that is followed: the last layer's likeliest at each position, the text's next one, or one by its id. */
  readonly token: 'predicted' | 'next' | number;
}

export const LENS_AT_FIRST: LensShown = { measure: 'top', token: 'predicted' };

/** A position's prediction as a lens reads it from one layer. */
export interface LensReading {
  /** The likeliest token; of equal ones the lowest id. */
  readonly top: number;
  readonly topProbability: number;
  /**
   * Kullback-Leibler divergence of this prediction from the final layer's, Σ p_final ln(p_final / p_layer), in nats.
   */
  readonly divergence: number;
  /** Shannon entropy in nats. */
  readonly entropy: number;
  /** For each requested token its rank, 1 for the likeliest, and its probability. */
  readonly tokens: readonly { readonly rank: number; readonly probability: number }[];
}

/**
 * Measure one position. `logits` and `final` are (vocab): the lens's, and those of the final layer at the same position,
 * as the logarithm of their softmax. `tokens` are ids below vocab.
 */
export function lensReading(
  logits: Float32Array,
  final: Float64Array,
  tokens: readonly number[],
): LensReading {
  const logs = logSoftmax(logits);
  const [top = 0] = largest(logits, 1);
  let divergence = 0;
  let entropy = 0;
  for (let id = 0; id < logs.length; id++) {
    const log = logs[id] ?? 0;
    const own = final[id] ?? 0;
    entropy -= Math.exp(log) * log;
    divergence += Math.exp(own) * (own - log);
  }
  return {
    top,
    topProbability: Math.exp(logs[top] ?? NaN),
    // Rounding can take the divergence of equal predictions below 0, which none is.
    divergence: Math.max(0, divergence),
    entropy: Math.max(0, entropy),
    tokens: tokens.map((token) => ({
      rank: rankOf(logits, token) + 1,
      probability: Math.exp(logs[token] ?? NaN),
    })),
  };
}
