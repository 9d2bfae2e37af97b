// Reads a publisher's precomputed example and checks it against the contract: only tensors that a run of that variant
// could have given are accepted. Fetching is load_first_pass.ts; the file's format, contracts/ACTIVATIONS_CONTRACT.md.
import { BundleError } from '../bundle/bundle_error';
import { readSafetensors, type NamedTensor } from '../bundle/weights/safetensors';
import { resolveShape } from '../contract/activation_table';
import type { Manifest, TensorSpec, Variant } from '../contract/generated';
import { sessionGraph } from '../contract/variant_graphs';
import type { TokenPiece } from '../tokenizer/text_tokenizer';
import { messageOf } from './model_error';
import type { FirstPass, Tensor } from './model_types';

/** Read the example. Throws a BundleError of kind `integrity` where the file is not as the manifest says. */
export function readFirstPass(file: Uint8Array<ArrayBuffer>, manifest: Manifest): FirstPass | null {
  const record = manifest.first_pass;
  const variant = manifest.variants.find(({ name }) => name === record?.variant);
  if (record === undefined || variant === undefined) return null;
  try {
    const tensors = new Tensors(readSafetensors(file));
    const first = { ...read(tensors, manifest, variant), manifest, variant };
    tensors.expectNoMore();
    return { ...first, prompt: record.prompt, runtime: record.runtime };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const expected = 'what a run of the model gives';
    const { path } = record;
    throw new BundleError({ kind: 'integrity', path, expected, got: messageOf(cause) }, { cause });
  }
}

function read(
  tensors: Tensors,
  manifest: Manifest,
  variant: Variant,
): Pick<FirstPass, 'result' | 'pieces'> {
  const { vocab, context_length } = manifest.model.shape;
  const ids = tensors.tokens('input_ids', [1, null], vocab);
  if (ids.length === 0 || ids.length > context_length) throw new RangeError(`${ids.length} tokens`);
  const lastLogits = tensors.floats('logits', [1, 1, vocab]);
  const own = new Set(sessionGraph(variant).activations.outputs.map(({ name }) => name));
  const named = variant.plain.activations.outputs.filter(({ name }) => !own.has(name));
  const result = {
    ids: Array.from(ids),
    start: 0,
    lastLogits,
    tensors: named.map((spec) => tensors.activation(spec, ids.length, vocab)),
    timings: { runMs: 0 },
  };
  if (manifest.tokenizer === undefined) return { result, pieces: [] };
  const pieces = piecesOf(tensors, vocab);
  const told = new Set(pieces.map(({ id }) => id));
  const untold = ids.find((id) => !told.has(id));
  if (untold !== undefined) throw new RangeError(`no bytes of token ${untold}`);
  return { result, pieces };
}

function piecesOf(tensors: Tensors, vocab: number): TokenPiece[] {
  const ids = tensors.tokens('piece_ids', [null], vocab);
  const bytes = tensors.bytes('piece_bytes');
  const ends = tensors.tokens('piece_ends', [ids.length], bytes.length + 1);
  let begin = 0;
  return Array.from(ids, (id, index) => {
    const end = ends[index] ?? 0;
    if (end < begin) throw new RangeError(`the bytes of token ${id} end before they begin`);
    const piece = { id, bytes: bytes.slice(begin, end) };
    begin = end;
    return piece;
  });
}

/** Tensors that are taken out one by one, each checked for its type and shape. */
class Tensors {
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

  /** Take a tensor of this shape; null stands for any size. */
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
