// Reads a safetensors file as named arrays: a length, a JSON header, raw little-endian values. The file is untrusted.
import { parseStrictJson } from '../../contract/strict_json';

export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;
}

/** dtypes that are converted to arrays. */
const arrays = { F32: Float32Array, I64: BigInt64Array, U8: Uint8Array } as const;
/** Bytes per number of each dtype that the contract's files use. */
const itemBytes = { F32: 4, I64: 8, U8: 1, F16: 2 } as const;
type Dtype = keyof typeof itemBytes;

export interface TensorPlace {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Byte offset from the start of the file. */
  readonly from: number;
  readonly to: number;
}

export interface SafetensorsHeader {
  /** The object under `__metadata__`, not validated. */
  readonly metadata: unknown;
  readonly places: ReadonlyMap<string, TensorPlace>;
}

const maxHeaderBytes = 1 << 20;
const maxTensors = 65_536;
const maxDimensions = 8;

/** Return the tensors by name, each a copy. Throws a RangeError that says what is wrong with the file. */
export function readSafetensors(file: Uint8Array<ArrayBuffer>): Map<string, NamedTensor> {
  const tensors = new Map<string, NamedTensor>();
  for (const [name, { dtype, shape, from, to }] of readHeader(file).places) {
    if (dtype === 'F16') throw unknownForm(name);
    tensors.set(name, { shape, data: new arrays[dtype](file.slice(from, to).buffer) });
  }
  return tensors;
}

/** Parse the header and return each tensor's location. Throws a RangeError that describes the defect. */
export function readHeader(file: Uint8Array<ArrayBuffer>): SafetensorsHeader {
  if (file.length < 8) throw new RangeError('too short for a header');
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (length > Math.min(maxHeaderBytes, file.length - 8)) {
    throw new RangeError(`a header of ${length} bytes`);
  }
  const begin = 8 + Number(length);
  const header = Object.entries(parseHeader(file.subarray(8, begin)));
  const entries = header.filter(([name]) => name !== '__metadata__');
  if (entries.length > maxTensors) throw new RangeError(`${entries.length} tensors`);
  const places = new Map<string, TensorPlace>();
  const spans: [number, number][] = [];
  for (const [name, entry] of entries) {
    const { dtype, shape, from, to } = placeOf(name, entry);
    const count = shape.reduce((product, size) => product * size, 1);
    if (to - from !== count * itemBytes[dtype] || begin + to > file.length) {
      throw new RangeError(`${name} lies from ${from} to ${to}`);
    }
    spans.push([from, to]);
    places.set(name, { dtype, shape, from: begin + from, to: begin + to });
  }
  // Every byte must belong to exactly one tensor, without gaps or overlaps.
  let end = 0;
  for (const [from, to] of spans.sort(([a, b], [c, d]) => a - c || b - d)) {
    if (from !== end) throw new RangeError(`a tensor begins at ${from} instead of ${end}`);
    end = to;
  }
  if (begin + end !== file.length) throw new RangeError(`${file.length - begin - end} bytes more`);
  return { metadata: header.find(([name]) => name === '__metadata__')?.[1], places };
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

function unknownForm(name: string): RangeError {
  return new RangeError(`${name} is described in no known way`);
}

/** Return the location of an entry, relative to the first value of the file. */
function placeOf(name: string, entry: unknown): TensorPlace {
  const { dtype, shape, data_offsets } = (entry ?? {}) as Record<string, unknown>;
  const offsets: unknown[] = Array.isArray(data_offsets) ? data_offsets : [];
  const [from, to] = offsets;
  if (
    typeof dtype !== 'string' ||
    !Object.hasOwn(itemBytes, dtype) ||
    !Array.isArray(shape) ||
    shape.length > maxDimensions ||
    !shape.every(isSize) ||
    !isSize(from) ||
    !isSize(to) ||
    offsets.length !== 2
  ) {
    throw unknownForm(name);
  }
  return { dtype: dtype as Dtype, shape, from, to };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
