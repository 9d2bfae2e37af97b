// The results of a run, in the page's own types.
import type * as Ort from 'onnxruntime-web';
import { activationName } from '../contract/activation_table';
import type { ActivationKind } from '../contract/generated';
import { ModelError } from './model_error';
import type { Tensor } from './model_types';

/** Return an output of a run. Throws a ModelError for numbers of a type that no activation has. */
export function plainTensor(name: string, { dims, data }: Ort.Tensor): Tensor {
  if (data instanceof Float32Array) return { name, dims, data };
  // Token ids fit 32 bits, and views need no bigint.
  if (data instanceof BigInt64Array) return { name, dims, data: Int32Array.from(data, Number) };
  throw new ModelError({ kind: 'run', detail: `${name} is neither float32 nor int64` });
}

/** The results of a run, by name. */
export type Given = ReadonlyMap<string, Pick<Tensor, 'data'>>;

/** Return an activation's values. Throws a RangeError where the run doesn't give it. */
export function arrayOf(given: Given, kind: ActivationKind, layer: number): Float32Array {
  const data = given.get(activationName(kind, layer))?.data;
  if (data instanceof Float32Array) return data;
  throw new RangeError(`the run doesn't give ${activationName(kind, layer)}`);
}
