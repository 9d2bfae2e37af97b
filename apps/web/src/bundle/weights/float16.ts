// Converts float16 to float32 and back, for browsers that have no Float16Array.

let table: Float32Array | null = null;

/** Return the values of all 65,536 float16, by their bits. */
export function float16Table(): Float32Array {
  if (table !== null) return table;
  const made = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const magnitude =
      exponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1024 + fraction) * 2 ** (exponent - 25);
    made[bits] = bits < 32768 ? magnitude : -magnitude;
  }
  return (table = made);
}

/** Round to the nearest float16, ties to even. */
export function roundToFloat16(from: Float32Array, to: Uint16Array): void {
  const word = new Float32Array(1);
  const wordBits = new Uint32Array(word.buffer);
  for (let i = 0; i < from.length; i++) {
    const number = from[i] ?? 0;
    word[0] = number;
    const bits = wordBits[0] ?? 0;
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    to[i] = sign | float16Magnitude(magnitude);
  }
}

/** Return the bits of the float16 nearest to a positive float32, given by its bits. */
function float16Magnitude(bits: number): number {
  if (bits > 0x7f800000) return 0x7e00;
  // Half a unit in the last place above the largest float16, or more: infinity.
  if (bits >= 0x477ff000) return 0x7c00;
  const exponent = (bits >>> 23) - 112;
  if (exponent > 0) return roundAway(bits - (112 << 23), 13);
  // Subnormal: the implicit leading 1 is added and shifted right. 2^-25 and less become 0.
  if (exponent < -10) return 0;
  return roundAway((bits & 0x7fffff) | 0x800000, 14 - exponent);
}

/** Drop the last bits, rounding to the nearest, ties to even. */
function roundAway(bits: number, dropped: number): number {
  const odd = (bits >>> dropped) & 1;
  return (bits + (1 << (dropped - 1)) - 1 + odd) >>> dropped;
}
