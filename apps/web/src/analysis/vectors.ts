// Measures on activation vectors: length, extremes, and the values kept when more numbers than pixels must be shown.

/** Values of one activation at one position. */
export type Vector = Float32Array | Int32Array;

export function norm(vector: Vector): number {
  let sum = 0;
  for (const value of vector) sum += value ** 2;
  return Math.sqrt(sum);
}

/** The largest absolute value; 0 for an empty vector. */
export function largestMagnitude(vector: Vector): number {
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** Indices of the values furthest from zero, furthest first. */
export function furthestFromZero(vector: Vector, count: number): number[] {
  return Array.from({ length: vector.length }, (_, index) => index)
    .sort((a, b) => Math.abs(vector[b] ?? 0) - Math.abs(vector[a] ?? 0) || a - b)
    .slice(0, count);
}

/** Share of values above zero. */
export function shareAboveZero(vector: Vector): number {
  let count = 0;
  for (const value of vector) if (value > 0) count++;
  return vector.length > 0 ? count / vector.length : 0;
}
