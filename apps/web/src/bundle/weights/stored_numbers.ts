// Reads numbers of a tensor in a safetensors file that stays as it is, little-endian float32 or float16.
import { float16Table } from './float16';
import type { TensorPlace } from './safetensors';

/** Return whether all numbers are finite, which is so if no exponent is all ones. */
export function areFinite(bytes: Uint8Array<ArrayBuffer>, dtype: 'F32' | 'F16'): boolean {
  const [step, high] = dtype === 'F32' ? [4, 0x7f80] : [2, 0x7c00];
  for (let at = step - 2; at < bytes.length; at += step) {
    const top = (bytes[at] ?? 0) + (bytes[at + 1] ?? 0) * 256;
    if ((top & high) === high) return false;
  }
  return true;
}

/** Return `count` numbers of a tensor, `step` numbers apart, from the index `first` on. */
export function numbersAt(
  file: Uint8Array<ArrayBuffer>,
  { dtype, from }: Pick<TensorPlace, 'dtype' | 'from'>,
  { first, count, step = 1 }: { first: number; count: number; step?: number },
): Float32Array<ArrayBuffer> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const numbers = new Float32Array(count);
  const table = dtype === 'F16' ? float16Table() : null;
  for (let at = 0; at < count; at++) {
    const index = first + at * step;
    numbers[at] =
      table === null
        ? view.getFloat32(from + 4 * index, true)
        : (table[view.getUint16(from + 2 * index, true)] ?? NaN);
  }
  return numbers;
}
