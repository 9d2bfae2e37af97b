// Element by element over closing tensors of one rank, whose dimensions are 1 or the same.
import { elementCount } from '../contract/activation_table';
import type { ClosingTensor } from './joint_edit';

/** Return the tensor of `change` over the elements of both. */
export function zipped(
  one: ClosingTensor,
  other: ClosingTensor,
  change: (one: number, other: number) => number,
): { readonly dims: readonly number[]; readonly data: Float32Array } {
  const dims = one.dims.map((size, axis) => Math.max(size, other.dims[axis] ?? 1));
  const [atOne, atOther] = [indices(one.dims, dims), indices(other.dims, dims)];
  const data = new Float32Array(elementCount(dims));
  for (let at = 0; at < data.length; at++)
    data[at] = change(one.data[atOne[at] ?? 0] ?? 0, other.data[atOther[at] ?? 0] ?? 0);
  return { dims, data };
}

/** Return the elementwise AND of two masks. */
export function both(one: ClosingTensor, other: ClosingTensor): ClosingTensor {
  const { dims, data } = zipped(one, other, (a, b) => Number(a !== 0 && b !== 0));
  return { dims, data: Uint8Array.from(data) };
}

/** Return a mask that is true where either is. */
export function either(one: ClosingTensor, other: ClosingTensor): ClosingTensor {
  const { dims, data } = zipped(one, other, (a, b) => Number(a !== 0 || b !== 0));
  return { dims, data: Uint8Array.from(data) };
}

/** Return, for each element of the wanted dimensions, the index of the element that stands there. */
export function indices(given: readonly number[], wanted: readonly number[]): Int32Array {
  const result = new Int32Array(elementCount(wanted));
  let [outer, stride] = [result.length, 1];
  // From the last axis on: `inner` elements stand behind each other under one index of the axis.
  for (let axis = wanted.length - 1; axis >= 0; axis--) {
    const [size, own] = [wanted[axis] ?? 1, given[axis] ?? 1];
    const inner = result.length / outer;
    outer /= size;
    if (own > 1)
      for (let at = 0; at < result.length; at++)
        result[at] = (result[at] ?? 0) + (Math.floor(at / inner) % size) * stride;
    stride *= own;
  }
  return result;
}
