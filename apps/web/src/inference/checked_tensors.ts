// Reads tensors from an untrusted file, checking each against the contract's dtype and shape.
import type { NamedTensor } from '../bundle/weights/safetensors';
import { resolveShape } from '../contract/activation_table';
import type { TensorSpec } from '../contract/generated';
import type { Tensor } from './model_types';

/** The tensors of a file, taken one by one and checked for dtype and shape. */
export class CheckedTensors {
  readonly #left: Map<string, NamedTensor>;

  constructor(tensors: Map<string, NamedTensor>) {
    this.#left = tensors;
  }

  /** Take an int64 tensor of values from 0 to `below` - 1. */
  tokens(name: string, shape: readonly (number | null)[], below: number): Int32Array {
    const { data } = this.#take(name, shape);
    if (!(data instanceof BigInt64Array)) throw new RangeError(`${name} is not I64`);
    if (data.some((value) => value < 0n || value >= BigInt(below))) {
      throw new RangeError(`${name} holds what is not in 0 … ${below - 1}`);
    }
    return Int32Array.from(data, Number);
  }

  floats(name: string, shape: readonly (number | null)[]): Float32Array {
    const { data } = this.#take(name, shape);
    if (!(data instanceof Float32Array)) throw new RangeError(`${name} is not F32`);
    if (!data.every(Number.isFinite)) throw new RangeError(`${name} holds NaN or infinity`);
    return data;
  }

  bytes(name: string): Uint8Array<ArrayBuffer> {
    const { data } = this.#take(name, [null]);
    if (!(data instanceof Uint8Array)) throw new RangeError(`${name} is not U8`);
    return data;
  }

  activation({ name, dtype, shape }: TensorSpec, seq: number, vocab: number): Tensor {
    const dims = resolveShape(shape, { batch: 1, seq, past: 0 });
    const data = dtype === 'int64' ? this.tokens(name, dims, vocab) : this.floats(name, dims);
    return { name, dims, data };
  }

  expectNoMore(): void {
    const [name] = this.#left.keys();
    if (name !== undefined) throw new RangeError(`${name}, which no run gives`);
  }

  /** Take a tensor of this shape; null allows any size. */
  #take(name: string, shape: readonly (number | null)[]): NamedTensor {
    const tensor = this.#left.get(name);
    if (tensor === undefined) throw new RangeError(`no ${name}`);
    this.#left.delete(name);
    const fits =
      tensor.shape.length === shape.length &&
      shape.every((size, axis) => size === null || size === tensor.shape[axis]);
    if (!fits) throw new RangeError(`${name} of ${JSON.stringify(tensor.shape)}`);
    return tensor;
  }
}
