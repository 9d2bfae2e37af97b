// Reads a safetensors file as named arrays: a length, a JSON header, raw little-endian values. The file is untrusted.
import { parseStrictJson } from '../../contract/strict_json';

export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

/** The dtypes of the format that the contract's files use. */
const arrays = { F32: Float32Array, I64: BigInt64Array, U8: Uint8Array } as const;
type Dtype = keyof typeof arrays;

const maxHeaderBytes = 1 << 20;
const maxTensors = 65_536;
const maxDimensions = 8;

/** Return the tensors by name, each a copy. Throws a RangeError that says what is wrong with the file. */
export function readSafetensors(file: Uint8Array<ArrayBuffer>): Map<string, NamedTensor> {
  if (file.length < 8) throw new RangeError('too short for a header');
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (length > Math.min(maxHeaderBytes, file.length - 8)) {
    throw new RangeError(`a header of ${length} bytes`);
  }
  const begin = 8 + Number(length);
  const entries = Object.entries(parseHeader(file.subarray(8, begin))).filter(
    ([name]) => name !== '__metadata__',
  );
  if (entries.length > maxTensors) throw new RangeError(`${entries.length} tensors`);
  const tensors = new Map<string, NamedTensor>();
  const spans: [number, number][] = [];
  for (const [name, entry] of entries) {
    const { dtype, shape, from, to } = placeOf(name, entry);
    const Kind = arrays[dtype];
    const count = shape.reduce((product, size) => product * size, 1);
    if (to - from !== count * Kind.BYTES_PER_ELEMENT || begin + to > file.length) {
      throw new RangeError(`${name} lies from ${from} to ${to}`);
    }
    spans.push([from, to]);
    tensors.set(name, { shape, data: new Kind(file.slice(begin + from, begin + to).buffer) });
  }
  // Every byte must belong to exactly one tensor, without gaps or overlaps.
  let end = 0;
  for (const [from, to] of spans.sort(([a, b], [c, d]) => a - c || b - d)) {
    if (from !== end) throw new RangeError(`a tensor begins at ${from} instead of ${end}`);
    end = to;
  }
  if (begin + end !== file.length) throw new RangeError(`${file.length - begin - end} bytes more`);
  return tensors;
}

function parseHeader(bytes: Uint8Array<ArrayBuffer>): object {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RangeError('a header that is not UTF-8', { cause });
  }
  const verdict = parseStrictJson(text);
  if (verdict.kind === 'refused') throw new RangeError(`a header of which ${verdict.detail}`);
  const { value } = verdict;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeError('a header that is no object');
  }
  return value;
}

interface Place {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

function placeOf(name: string, entry: unknown): Place {
  const { dtype, shape, data_offsets } = (entry ?? {}) as Record<string, unknown>;
  const offsets: unknown[] = Array.isArray(data_offsets) ? data_offsets : [];
  const [from, to] = offsets;
  if (
    typeof dtype !== 'string' ||
    !Object.hasOwn(arrays, dtype) ||
    !Array.isArray(shape) ||
    shape.length > maxDimensions ||
    !shape.every(isSize) ||
    !isSize(from) ||
    !isSize(to) ||
    offsets.length !== 2
  ) {
    throw new RangeError(`${name} is described in no known way`);
  }
  return { dtype: dtype as Dtype, shape, from, to };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
