// Checks a dictionary's file against its manifest, and reads rows and columns of its tensors. The digest is already
// verified, but the contents are untrusted. The same rules in Python: oriel/dictionaries/dictionary_file.py.
import { numbersAt } from '../bundle/weights/stored_numbers';
import { readHeader, type SafetensorsHeader } from '../bundle/weights/safetensors';
import type { DictionaryRecord, Manifest } from '../contract/generated';
import { encoderTensors, featuresName, tensorShapes } from '../contract/validate_dictionaries';
import {
  damaged,
  readDescribed,
  readsTensors,
  tensorTrouble,
  type FileTrouble,
} from './described_file';

/** Metadata key of the description, which is JSON. */
const documentKey = 'oriel.dictionary';

/** Return what is wrong with a dictionary's file, or null. */
export function dictionaryTrouble(
  file: Uint8Array<ArrayBuffer>,
  record: DictionaryRecord,
  { model }: Pick<Manifest, 'model'>,
): FileTrouble | null {
  const described = readDescribed(file, documentKey, model.weights_digest);
  if ('reason' in described) return described;
  const { header, said } = described;
  if (textOf(said) !== textOf(record.description))
    return damaged('another description than that of the manifest');
  const sizes = tensorShapes(record.description, model.shape) ?? new Map<string, number[]>();
  const detail =
    tensorTrouble(file, header, sizes) ??
    thresholdTrouble(file, header) ??
    tapTrouble(record, header);
  return detail === null ? null : damaged(detail);
}

/** Return an error if a threshold is below 0, or null. */
function thresholdTrouble(
  file: Uint8Array<ArrayBuffer>,
  { places }: SafetensorsHeader,
): string | null {
  const place = places.get('threshold');
  if (place === undefined) return null;
  const [count = 0] = place.shape;
  const isBelow = numbersAt(file, place, { first: 0, count }).some((value) => value < 0);
  return isBelow ? 'threshold: < 0' : null;
}

/** Return an error if a tap refers to other locations than the encoder's tensors, or null. */
function tapTrouble(
  { name, taps }: DictionaryRecord,
  { places }: SafetensorsHeader,
): string | null {
  const wanted = encoderTensors.flatMap((part) => {
    const place = places.get(part);
    return place === undefined ? [] : [[`${featuresName(name)}/${part}`, place] as const];
  });
  const other = Object.entries(taps).find(([, tap]) => !readsTensors(tap, wanted));
  return other === undefined ? null : `the tap of ${other[0]}`;
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
