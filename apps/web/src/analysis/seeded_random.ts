// Numbers that a seed repeats in every browser, for measurements that others should be able to make again.

/**
 * Return a function that returns numbers in [0, 1), the same for the same seed: a linear congruential generator modulo
 * 2^32 (multiplier 1664525, increment 1013904223, from Numerical Recipes), whose high bits suffice for drawing tokens.
 */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
