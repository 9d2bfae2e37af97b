// Checks a dictionary's file against its manifest, and reads rows and columns of its tensors. The digest is already
// verified, but the contents are untrusted. The same rules in Python: oriel/dictionaries/dictionary_file.py.
import { areFinite, numbersAt } from '../bundle/weights/stored_numbers';
import { readHeader, type SafetensorsHeader } from '../bundle/weights/safetensors';
import type { DictionaryRecord, Manifest } from '../contract/generated';
import { parseStrictJson } from '../contract/strict_json';
import { featuresName, tensorShapes } from '../contract/validate_dictionaries';
import { storedTensors } from '../contract/validate_tap_bytes';

/** Metadata key of the description, which is JSON. */
const documentKey = 'oriel.dictionary';

/** Tensors that a tap reads, as far as the dictionary has them. */
const encoder = ['encoder_weight', 'encoder_bias', 'threshold'] as const;

/** Reasons why a dictionary cannot be used. */
export type UnfitDictionary = 'other-model' | 'damaged';

export interface DictionaryTrouble {
  readonly reason: UnfitDictionary;
  readonly detail: string;
}

/** Return what is wrong with a dictionary's file, or null. */
export function dictionaryTrouble(
  file: Uint8Array<ArrayBuffer>,
  record: DictionaryRecord,
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
  if (textOf(said) !== textOf(record.description))
    return damaged('another description than that of the manifest');
  const sizes = tensorShapes(record.description, model.shape) ?? new Map<string, number[]>();
  const detail = tensorTrouble(file, header, sizes) ?? tapTrouble(record, header);
  return detail === null ? null : damaged(detail);
}

/** Return what is wrong with the tensors of a file, or null. */
function tensorTrouble(
  file: Uint8Array<ArrayBuffer>,
  { places }: SafetensorsHeader,
  sizes: ReadonlyMap<string, readonly number[]>,
): string | null {
  const other = [...places.keys()].find((name) => !sizes.has(name));
  if (other !== undefined) return `a tensor ${other}`;
  for (const [name, wanted] of sizes) {
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

/** Return an error if a tap refers to other locations than the encoder's tensors, or null. */
function tapTrouble(
  { name, taps }: DictionaryRecord,
  { places }: SafetensorsHeader,
): string | null {
  const wanted = encoder.flatMap((part) => {
    const place = places.get(part);
    return place === undefined
      ? []
      : [`${featuresName(name)}/${part} ${place.dtype === 'F16' ? 10 : 1} ${place.from}`];
  });
  for (const [variant, tap] of Object.entries(taps)) {
    const found = storedTensors(tap).map((each) => `${each.name} ${each.dtype} ${each.offset}`);
    if (found.sort().join() !== wanted.sort().join()) return `the tap of ${variant}`;
  }
  return null;
}

function descriptionIn(metadata: unknown): Readonly<Record<string, unknown>> | null {
  const text = (metadata as Record<string, unknown> | undefined)?.[documentKey];
  const verdict = typeof text === 'string' ? parseStrictJson(text) : null;
  if (verdict?.kind !== 'json') return null;
  return (verdict.value ?? {}) as Record<string, unknown>;
}

/** Return a value of JSON as one text, the same for objects whose keys stand in another order. */
function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const parts = Object.entries(value).map(([name, part]) => `${name} ${textOf(part)}`);
  return `{${parts.sort().join()}}`;
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
