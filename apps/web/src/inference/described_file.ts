// Reads what the files of lens packs and dictionaries have in common: a description in the metadata of a safetensors file,
// tensors of the shapes that it says, and taps that read them. A file's digest is already verified, but its contents are
// untrusted.
import {
  readHeader,
  type SafetensorsHeader,
  type TensorPlace,
} from '../bundle/weights/safetensors';
import { areFinite } from '../bundle/weights/stored_numbers';
import type { Tap } from '../contract/generated';
import { parseStrictJson } from '../contract/strict_json';
import { storedTensors } from '../contract/validate_tap_bytes';

/** Reasons why such a file cannot be used. */
export type UnfitFile = 'other-model' | 'damaged';

export interface FileTrouble {
  readonly reason: UnfitFile;
  readonly detail: string;
}

export interface DescribedFile {
  readonly header: SafetensorsHeader;
  /** The description as JSON, not validated. */
  readonly said: Readonly<Record<string, unknown>>;
}

export function damaged(detail: string): FileTrouble {
  return { reason: 'damaged', detail };
}

/** Return a file's header and the description under a metadata key, or what is wrong: `weights` is the model's digest. */
export function readDescribed(
  file: Uint8Array<ArrayBuffer>,
  key: string,
  weights: string,
): DescribedFile | FileTrouble {
  let header: SafetensorsHeader;
  try {
    header = readHeader(file);
  } catch (error) {
    if (error instanceof RangeError) return damaged(error.message);
    throw error;
  }
  const text = (header.metadata as Record<string, unknown> | undefined)?.[key];
  const verdict = typeof text === 'string' ? parseStrictJson(text) : null;
  if (verdict?.kind !== 'json') return damaged(`no ${key} in its metadata`);
  const said = (verdict.value ?? {}) as Record<string, unknown>;
  if (said['weights'] !== weights)
    return { reason: 'other-model', detail: String(said['weights']) };
  return { header, said };
}

/** Return what is wrong with a file's tensors, or null. It must have those of `sizes`, of finite numbers, and no others. */
export function tensorTrouble(
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
  }
  return null;
}

/** Return whether a tap reads these tensors, by their names in its graph, where the file has them, and no others. */
export function readsTensors(
  tap: Tap,
  tensors: readonly (readonly [name: string, place: TensorPlace])[],
): boolean {
  const wanted = tensors.map(
    ([name, { dtype, from }]) => `${name} ${dtype === 'F16' ? 10 : 1} ${from}`,
  );
  const found = storedTensors(tap).map(({ name, dtype, offset }) => `${name} ${dtype} ${offset}`);
  return found.sort().join() === wanted.sort().join();
}
