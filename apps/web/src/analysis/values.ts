// Tensors as analyses take and return them: numbers with their dimensions.

/** Row-major. */
export interface Values {
  readonly dims: readonly number[];
  readonly data: ArrayLike<number>;
}

export interface Numbers extends Values {
  readonly data: Float64Array;
}

/** Return the rows along the last dimension, in row-major order. */
export function rowsOf({ dims, data }: Values): { readonly count: number; readonly width: number } {
  const width = dims.at(-1) ?? 1;
  return { count: width > 0 ? data.length / width : 0, width };
}
