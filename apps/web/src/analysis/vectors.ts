// Measures on activation vectors: norm, extremes, a limit for colour scales, and the share of values above zero.

/** Values of one activation at one position. */
export type Vector = Float32Array | Int32Array;

export function norm(vector: Vector): number {
  let sum = 0;
  for (const value of vector) sum += value ** 2;
  return Math.sqrt(sum);
}

/** Return the largest absolute value; 0 for an empty vector. */
export function largestMagnitude(vector: Vector): number {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** Return the magnitude that a share of all values stays below, to a thousandth of the largest, and the largest. */
export function magnitudeBelow(
  vectors: Iterable<Vector>,
  share: number,
): { limit: number; largest: number } {
  const all = [...vectors];
  const largest = all.reduce((most, vector) => Math.max(most, largestMagnitude(vector)), 0);
  if (largest === 0) return { limit: 0, largest };
  const bins = new Uint32Array(1001);
  let count = 0;
  for (const vector of all)
    for (const value of vector) {
      const bin = Math.ceil((Math.abs(value) / largest) * 1000);
      bins[bin] = (bins[bin] ?? 0) + 1;
      count++;
    }
  let seen = 0;
  for (let bin = 0; bin <= 1000; bin++) {
    seen += bins[bin] ?? 0;
    if (seen >= count * share) return { limit: (Math.max(1, bin) / 1000) * largest, largest };
  }
  return { limit: largest, largest };
}

/** Return the indices of the `count` values furthest from zero, furthest first. */
export function furthestFromZero(vector: Vector, count: number): number[] {
  return Array.from({ length: vector.length }, (_, index) => index)
    .sort((a, b) => Math.abs(vector[b] ?? 0) - Math.abs(vector[a] ?? 0) || a - b)
    .slice(0, count);
}

/** Return the share of values above zero. */
export function shareAboveZero(vector: Vector): number {
  let count = 0;
  for (const value of vector) if (value > 0) count++;
  return vector.length > 0 ? count / vector.length : 0;
}
