// Sampling from logits: temperature, then top-k, then top-p, as in generate() of transformers.
import { largest, softmax } from './probabilities';

export interface SamplingSettings {
  /** 0 always takes the likeliest token. */
  temperature: number;
  /** Keep the k likeliest; 0 keeps all. */
  topK: number;
  /** Keep the smallest set that holds at least this probability; 1 keeps all. */
  topP: number;
}

export const DEFAULT_SAMPLING: SamplingSettings = { temperature: 0.8, topK: 0, topP: 0.95 };

/** Return the distribution to sample from: over the whole vocabulary, 0 for tokens that top-k or top-p removed. */
export function samplingDistribution(
  logits: ArrayLike<number>,
  settings: SamplingSettings,
): Float64Array {
  if (settings.temperature <= 0) {
    const out = new Float64Array(logits.length);
    out[largest(logits, 1)[0] ?? 0] = 1;
    return out;
  }
  let probabilities = softmax(logits, settings.temperature);
  if (settings.topK > 0 && settings.topK < probabilities.length)
    probabilities = keepOnly(probabilities, largest(probabilities, settings.topK));
  if (settings.topP < 1)
    probabilities = keepOnly(probabilities, nucleus(probabilities, settings.topP));
  return probabilities;
}

/** Return the fewest likeliest tokens whose probabilities add up to `topP`; at least one. */
function nucleus(probabilities: Float64Array, topP: number): number[] {
  // A token below this share cannot be needed to reach topP, so only the rest is sorted.
  const floor = (1 - topP) / probabilities.length;
  const candidates: number[] = [];
  for (let id = 0; id < probabilities.length; id++)
    if ((probabilities[id] ?? 0) >= floor) candidates.push(id);
  candidates.sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0) || a - b);
  let sum = 0;
  let count = 0;
  while (count < candidates.length && (count === 0 || sum < topP))
    sum += probabilities[candidates[count++] ?? 0] ?? 0;
  return candidates.slice(0, count);
}

function keepOnly(probabilities: Float64Array, ids: readonly number[]): Float64Array {
  const out = new Float64Array(probabilities.length);
  let total = 0;
  for (const id of ids) total += probabilities[id] ?? 0;
  for (const id of ids) out[id] = (probabilities[id] ?? 0) / total;
  return out;
}

/** Return the token that a uniform number in [0, 1) falls on. */
export function drawToken(distribution: ArrayLike<number>, uniform: number): number {
  let sum = 0;
  let last = 0;
  for (let id = 0; id < distribution.length; id++) {
    const p = distribution[id] ?? 0;
    if (p <= 0) continue;
    sum += p;
    last = id;
    if (uniform < sum) return id;
  }
  return last;
}
