// Norms and cosines of the residual stream from layer to layer. The same in Python: oriel/analysis/residual.py.
import { rowsOf, type Numbers, type Values } from './values';

/** Return the Euclidean norm of each position's vector, with the shape of `stream` without its last dimension. */
export function norms(stream: Values): Numbers {
  return { dims: stream.dims.slice(0, -1), data: products(stream, stream).map(Math.sqrt) };
}

/** Return the cosine between two streams at each position, or 0 if either vector is zero. */
export function cosines(stream: Values, other: Values): Numbers {
  if (stream.dims.join() !== other.dims.join())
    throw new RangeError(
      `the streams differ in size; got ${other.dims.join(' × ')}; expected ${stream.dims.join(' × ')}`,
    );
  const [ours, theirs] = [norms(stream).data, norms(other).data];
  const data = products(stream, other).map((product, at) => {
    const lengths = (ours[at] ?? 0) * (theirs[at] ?? 0);
    return lengths > 0 ? product / lengths : 0;
  });
  return { dims: stream.dims.slice(0, -1), data };
}

function products(one: Values, other: Values): Float64Array {
  const { count, width } = rowsOf(one);
  const found = new Float64Array(count);
  for (let row = 0; row < count; row++) {
    let sum = 0;
    for (let at = row * width; at < (row + 1) * width; at++)
      sum += (one.data[at] ?? 0) * (other.data[at] ?? 0);
    found[row] = sum;
  }
  return found;
}
