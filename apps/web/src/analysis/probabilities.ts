// Probabilities from logits and measures on them. Sampling is in sampling.ts.

/** Compute the softmax over the whole vocabulary, in float64. `temperature` must be above 0. */
export function softmax(logits: ArrayLike<number>, temperature = 1): Float64Array {
  const out = new Float64Array(logits.length);
  let highest = -Infinity;
  for (let id = 0; id < out.length; id++) highest = Math.max(highest, logits[id] ?? -Infinity);
  let total = 0;
  for (let id = 0; id < out.length; id++) {
    const weight = Math.exp(((logits[id] ?? -Infinity) - highest) / temperature);
    out[id] = weight;
    total += weight;
  }
  for (let id = 0; id < out.length; id++) out[id] = (out[id] ?? 0) / total;
  return out;
}

/** Return the logarithm of the sum of the exponentials: a logit minus it is the logarithm of its probability. */
export function logSumOfExp(logits: Iterable<number>): number {
  let highest = -Infinity;
  for (const logit of logits) highest = Math.max(highest, logit);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - highest);
  return highest + Math.log(total);
}

/** Return the indices of the `count` largest values, largest first; equal values by lower index. */
export function largest(values: ArrayLike<number>, count: number): number[] {
  const kept: number[] = [];
  let threshold = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? -Infinity;
    if (kept.length === count && value <= threshold) continue;
    let place = kept.length;
    while (place > 0 && (values[kept[place - 1] ?? 0] ?? 0) < value) place--;
    kept.splice(place, 0, index);
    if (kept.length > count) kept.pop();
    if (kept.length === count) threshold = values[kept[count - 1] ?? 0] ?? 0;
  }
  return kept;
}

/** Return the Shannon entropy in bits; 0 · log 0 counts as 0. */
export function entropyBits(probabilities: Float64Array): number {
  let sum = 0;
  for (const p of probabilities) if (p > 0) sum -= p * Math.log2(p);
  return sum;
}

/** Count the values that are larger than the one at `index`, or equal and before it: 0 for the likeliest. */
export function rankOf(values: ArrayLike<number>, index: number): number {
  const own = values[index] ?? -Infinity;
  let rank = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? -Infinity;
    if (value > own || (value === own && i < index)) rank++;
  }
  return rank;
}
