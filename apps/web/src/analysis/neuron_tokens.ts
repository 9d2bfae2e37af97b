// Computes how much a neuron changes each token's logit by what it writes to the residual stream, with the final norm's
// divisor held fixed, from logits of vectors that were put in front of that norm.

/** Logits, (vocab) each, of vectors in front of the final norm. */
export interface NormedReadings {
  /** The result for a vector of zeros: the norm's bias. */
  readonly zero: Float32Array;
  /** The result for a vector of equal numbers, which a LayerNorm takes for zeros. */
  readonly equal: Float32Array;
  /** The result for the neuron's row, times any factor that makes the norm's epsilon vanish beside it. */
  readonly row: Float32Array;
  /** The results for the stream at the position, and for the same times a factor as above. */
  readonly stream: Float32Array;
  readonly long: Float32Array;
}

/**
 * Return (vocab): the change of each logit for an activation of 1 at the position, which is the row in units of the norm's
 * divisor there, times the norm's weight and the unembedding. `row` and `stream` are (hidden).
 */
export function effectsOnLogits(
  readings: NormedReadings,
  { row, stream }: { readonly row: Float32Array; readonly stream: Float32Array },
): Float32Array {
  const { zero } = readings;
  const centred = isCentred(readings);
  const normed = readings.stream.map((logit, id) => logit - (zero[id] ?? 0));
  const long = readings.long.map((logit, id) => logit - (zero[id] ?? 0));
  // The stream over its own length, times this, is the stream over the norm's divisor, which holds an epsilon as well.
  const share = dot(normed, long) / dot(long, long);
  const lengths = spread(row, centred) / spread(stream, centred);
  const factor = lengths * (Number.isFinite(share) ? share : 1);
  return readings.row.map((logit, id) => (logit - (zero[id] ?? 0)) * factor);
}

/** Return whether the norm subtracts the mean: equal numbers are then as good as zeros. */
function isCentred({ zero, equal, long }: NormedReadings): boolean {
  let [ofEqual, ofLong] = [0, 0];
  for (let id = 0; id < zero.length; id++) {
    ofEqual += ((equal[id] ?? 0) - (zero[id] ?? 0)) ** 2;
    ofLong += ((long[id] ?? 0) - (zero[id] ?? 0)) ** 2;
  }
  return ofEqual < 1e-6 * ofLong;
}

/** Return the root of the mean square of a vector, after its mean was subtracted where it is centred. */
export function spread(vector: Float32Array, centred: boolean): number {
  const mean = centred ? vector.reduce((sum, each) => sum + each, 0) / vector.length : 0;
  return Math.sqrt(vector.reduce((sum, each) => sum + (each - mean) ** 2, 0) / vector.length);
}

function dot(one: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += (one[at] ?? 0) * (other[at] ?? 0);
  return sum;
}
