// Where a scale ends: a round number that everything fits below.

/** 1, 2 or 5 times a power of ten, at least `wanted`, which must be above 0. */
export function roundUp(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted));
  // A hair is let pass, so that what should be round is not pushed on by its last bit.
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10);
}
