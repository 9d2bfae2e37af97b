// Compares two activations at positions that face each other: the length of their difference, and their cosine.
import type { FacingPair } from './align_tokens';

/** The vector of a position. */
export type VectorAt = (position: number) => ArrayLike<number>;

export interface VectorDifferences {
  /** Euclidean length of B − A, by pair. */
  readonly norms: Float64Array;
  /** Cosine between A and B, by pair; 0 where either vector is zero. */
  readonly cosines: Float64Array;
}

export function vectorDifferences(
  a: VectorAt,
  b: VectorAt,
  pairs: readonly FacingPair[],
): VectorDifferences {
  const norms = new Float64Array(pairs.length);
  const cosines = new Float64Array(pairs.length);
  pairs.forEach((pair, at) => {
    const [ofA, ofB] = [a(pair.a), b(pair.b)];
    if (ofA.length !== ofB.length)
      throw new RangeError(
        `the vectors differ in length; got ${ofB.length}; expected ${ofA.length}`,
      );
    let [difference, product, squareA, squareB] = [0, 0, 0, 0];
    for (let index = 0; index < ofA.length; index++) {
      const [x, y] = [ofA[index] ?? 0, ofB[index] ?? 0];
      difference += (y - x) ** 2;
      product += x * y;
      squareA += x * x;
      squareB += y * y;
    }
    const lengths = Math.sqrt(squareA) * Math.sqrt(squareB);
    norms[at] = Math.sqrt(difference);
    cosines[at] = lengths > 0 ? Math.max(-1, Math.min(1, product / lengths)) : 0;
  });
  return { norms, cosines };
}
