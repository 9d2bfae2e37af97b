// Finds the end of a scale: a round number that is not below any value.

/** Return 1, 2 or 5 times a power of ten, at least `wanted`, which must be above 0. */
export function roundUp(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted));
  // A small tolerance, so that rounding in the last bit does not push a round number to the next one.
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10);
}
