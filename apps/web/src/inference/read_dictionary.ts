// Checks a dictionary's file against its manifest, and reads rows and columns of its tensors. The digest is already
// verified, but the contents are untrusted. The same rules in Python: oriel/dictionaries/dictionary_file.py.
import { areFinite, numbersAt } from '../bundle/weights/stored_numbers';
import { readHeader, type SafetensorsHeader } from '../bundle/weights/safetensors';
import { activationName, activationSpec, contractVersion } from '../contract/activation_table';
import type {
  DictionaryActivation,
  DictionaryDescription,
  DictionaryRecord,
  Manifest,
  ModelShape,
} from '../contract/generated';
import { parseStrictJson } from '../contract/strict_json';

/** Metadata key of the description, which is JSON. */
const documentKey = 'oriel.dictionary';

/** Reasons why a dictionary cannot be used. */
export type UnfitDictionary = 'other-model' | 'damaged';

export interface DictionaryTrouble {
  readonly reason: UnfitDictionary;
  readonly detail: string;
}

/** The fields of a description that say what the numbers are. */
const compared = ['kind', 'reads', 'writes', 'features', 'activation', 'k'] as const;

/** Return how many numbers a token has in an activation, the heads of attn_z one after another. */
export function widthOf({ kind, layer }: DictionaryActivation, shape: ModelShape): number {
  const spec = activationSpec(activationName(kind, layer), shape, contractVersion);
  const sizes = (spec?.shape ?? []).filter((size) => typeof size === 'number');
  return sizes.reduce((product, size) => product * size, 1);
}

/** Return what is wrong with a dictionary's file, or null. */
export function dictionaryTrouble(
  file: Uint8Array<ArrayBuffer>,
  { description }: Pick<DictionaryRecord, 'description'>,
  { model }: Pick<Manifest, 'model'>,
): DictionaryTrouble | null {
  const damaged = (detail: string): DictionaryTrouble => ({ reason: 'damaged', detail });
  let header: SafetensorsHeader;
  try {
    header = readHeader(file);
  } catch (error) {
    if (error instanceof RangeError) return damaged(error.message);
    throw error;
  }
  const said = descriptionIn(header.metadata);
  if (said === null) return damaged(`no ${documentKey} in its metadata`);
  if (said['weights'] !== model.weights_digest)
    return { reason: 'other-model', detail: String(said['weights']) };
  const other = compared.find((name) => textOf(said[name]) !== textOf(description[name]));
  if (other !== undefined) return damaged(`${other} ${textOf(said[other])}`);
  const detail = tensorTrouble(file, header, sizesOf(description, model.shape));
  return detail === null ? null : damaged(detail);
}

type Sizes = Readonly<Record<string, readonly number[]>>;

/** Return the shape of each tensor that the file of a dictionary holds. */
function sizesOf(
  { reads, writes, features, activation }: DictionaryDescription,
  shape: ModelShape,
): Sizes {
  const written = widthOf(writes, shape);
  return {
    encoder_weight: [widthOf(reads, shape), features],
    encoder_bias: [features],
    ...(activation === 'jumprelu' && { threshold: [features] }),
    decoder_weight: [features, written],
    decoder_bias: [written],
  };
}

/** Return what is wrong with the tensors of a file, or null. */
function tensorTrouble(
  file: Uint8Array<ArrayBuffer>,
  { places }: SafetensorsHeader,
  sizes: Sizes,
): string | null {
  const other = [...places.keys()].find((name) => !Object.hasOwn(sizes, name));
  if (other !== undefined) return `a tensor ${other}`;
  for (const [name, wanted] of Object.entries(sizes)) {
    const place = places.get(name);
    if (place?.shape.join() !== wanted.join())
      return `${name}: ${place?.shape.join(' × ') ?? 'none'} ≠ ${wanted.join(' × ')}`;
    if (place.dtype !== 'F32' && place.dtype !== 'F16') return `${name}: ${place.dtype}`;
    if (!areFinite(file.subarray(place.from, place.to), place.dtype)) return `${name}: NaN, ∞`;
    if (name !== 'threshold') continue;
    const [count = 0] = wanted;
    if (numbersAt(file, place, { first: 0, count }).some((value) => value < 0))
      return `${name}: < 0`;
  }
  return null;
}

function descriptionIn(metadata: unknown): Readonly<Record<string, unknown>> | null {
  const text = (metadata as Record<string, unknown> | undefined)?.[documentKey];
  const verdict = typeof text === 'string' ? parseStrictJson(text) : null;
  if (verdict?.kind !== 'json') return null;
  return (verdict.value ?? {}) as Record<string, unknown>;
}

/** Return a value as one text, the same for objects whose keys stand in another order. */
function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, part]) => `${name} ${String(part)}`)
    .join();
}

/** Reads the numbers of features from a file that was checked. */
export class DictionaryNumbers {
  readonly #file: Uint8Array<ArrayBuffer>;
  readonly #places: SafetensorsHeader['places'];

  constructor(file: Uint8Array<ArrayBuffer>) {
    this.#file = file;
    this.#places = readHeader(file).places;
  }

  /** (width_out): the feature's row of the decoder. */
  decoderRow(feature: number): Float32Array<ArrayBuffer> {
    const [, width = 0] = this.#place('decoder_weight').shape;
    return this.#read('decoder_weight', { first: feature * width, count: width });
  }

  /** (width_in): the feature's column of the encoder. */
  encoderColumn(feature: number): Float32Array<ArrayBuffer> {
    const [count = 0, step = 0] = this.#place('encoder_weight').shape;
    return this.#read('encoder_weight', { first: feature, count, step });
  }

  /** (width_out). */
  decoderBias(): Float32Array<ArrayBuffer> {
    const [count = 0] = this.#place('decoder_bias').shape;
    return this.#read('decoder_bias', { first: 0, count });
  }

  encoderBias(feature: number): number {
    return this.#read('encoder_bias', { first: feature, count: 1 })[0] ?? NaN;
  }

  /** 0 for dictionaries without thresholds. */
  threshold(feature: number): number {
    if (!this.#places.has('threshold')) return 0;
    return this.#read('threshold', { first: feature, count: 1 })[0] ?? NaN;
  }

  #place(name: string): {
    dtype: 'F32' | 'I64' | 'U8' | 'F16';
    shape: readonly number[];
    from: number;
  } {
    const place = this.#places.get(name);
    if (place === undefined) throw new RangeError(`the dictionary's file has no ${name}`);
    return place;
  }

  #read(
    name: string,
    which: { first: number; count: number; step?: number },
  ): Float32Array<ArrayBuffer> {
    return numbersAt(this.#file, this.#place(name), which);
  }
}
