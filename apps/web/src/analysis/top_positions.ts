// The places of a text where a number is largest.
import { largest } from './probabilities';

/** Return the positions where a value is largest in size, largest first. */
export function topPositions(values: Float32Array, count: number): number[] {
  return largest(values.map(Math.abs), count);
}
