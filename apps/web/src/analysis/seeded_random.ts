// Random numbers that a seed and a place determine, so that the same seed draws the same text, also after an undo:
// SplitMix64 (Steele, Lea and Flood, 2014), whose state after n steps is the seed plus n times a constant.

const GAMMA = 0x9e3779b97f4a7c15n;

/** Seeds are whole numbers from 0 to this one. */
export const LARGEST_SEED = 2 ** 32 - 1;

/** Return the generator's number at a place from 0 on, an unsigned integer of 64 bits. */
export function splitMix64(seed: number, place: number): bigint {
  let z = BigInt.asUintN(64, BigInt(seed) + GAMMA * BigInt(place + 1));
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** Return a number from 0 up to 1, with all bits that a float64 holds. */
export function uniformAt(seed: number, place: number): number {
  return Number(splitMix64(seed, place) >> 11n) / 2 ** 53;
}

/** Return a function that returns the numbers of one place after the other. */
export function seededRandom(seed: number): () => number {
  let place = 0;
  return () => uniformAt(seed, place++);
}
