// Splits the results of a batch into its texts, without the padding before each.
import { activationEntry, parseActivationName } from '../contract/activation_table';
import type { Tensor } from './model_types';

/** Return an activation of each text. `lengths`: tokens of each text; the longest has no padding. */
export function rowsOf({ name, dims, data }: Tensor, lengths: readonly number[]): Tensor[] {
  const kind = parseActivationName(name)?.kind;
  const axes = kind === undefined ? [] : activationEntry(kind).shape;
  const longest = Math.max(...lengths);
  const size = data.length / lengths.length;
  return lengths.map((length, row) => {
    let tensor: Tensor = {
      name,
      dims: [1, ...dims.slice(1)],
      data: data.slice(row * size, (row + 1) * size),
    };
    for (const [axis, of] of axes.entries())
      if (of === 'sequence_length' || of === 'total_sequence_length')
        tensor = withoutFirst(tensor, axis, longest - length);
    return tensor;
  });
}

/** Return a tensor without its first elements along an axis. */
function withoutFirst(tensor: Tensor, axis: number, count: number): Tensor {
  if (count === 0) return tensor;
  const { name, dims, data } = tensor;
  const size = dims[axis] ?? 1;
  const inner = dims.slice(axis + 1).reduce((product, each) => product * each, 1);
  const [whole, kept] = [size * inner, (size - count) * inner];
  const blocks = data.length / whole;
  const result =
    data instanceof Float32Array ? new Float32Array(blocks * kept) : new Int32Array(blocks * kept);
  for (let block = 0; block < blocks; block++)
    result.set(data.subarray((block + 1) * whole - kept, (block + 1) * whole), block * kept);
  return { name, dims: dims.with(axis, size - count), data: result };
}
