// Checks a lens pack's file against its manifest: the model, the maps, and the locations that its taps refer to. The
// digest is already verified, but the contents are untrusted. The same rules in Python: oriel/lenses/pack.py and
// pack_file.py.
import { areFinite } from '../bundle/weights/stored_numbers';
import { readHeader, type SafetensorsHeader } from '../bundle/weights/safetensors';
import type { LensPackRecord, Manifest } from '../contract/generated';
import { parseStrictJson } from '../contract/strict_json';
import { storedTensors } from '../contract/validate_tap_bytes';
import { mappedLayers } from '../contract/validate_lens_packs';

/** Metadata key of the description, which is JSON. */
const documentKey = 'oriel.lens_pack';

/** Reasons why a pack cannot be used. */
export type UnfitLens = 'other-model' | 'damaged';

export interface LensTrouble {
  readonly reason: UnfitLens;
  readonly detail: string;
}

/** Return what is wrong with a pack's file, or null. */
export function lensTrouble(
  file: Uint8Array<ArrayBuffer>,
  record: LensPackRecord,
  manifest: Manifest,
): LensTrouble | null {
  const damaged = (detail: string): LensTrouble => ({ reason: 'damaged', detail });
  let header: SafetensorsHeader;
  try {
    header = readHeader(file);
  } catch (error) {
    if (error instanceof RangeError) return damaged(error.message);
    throw error;
  }
  const said = descriptionIn(header.metadata);
  if (said === null) return damaged(`no ${documentKey} in its metadata`);
  const { weights_digest: wanted, shape } = manifest.model;
  if (said.weights !== wanted) return { reason: 'other-model', detail: String(said.weights) };
  if (said.kind !== record.description.kind) return damaged(`kind ${String(said.kind)}`);
  const parts = said.kind === 'tuned' ? (['weight', 'bias'] as const) : (['weight'] as const);
  const names = mappedLayers(shape).flatMap((layer) =>
    parts.map((part) => `layer_${layer}.${part}`),
  );
  const other = [...header.places.keys()].find((name) => !names.includes(name));
  if (other !== undefined) return damaged(`a tensor ${other}`);
  for (const name of names) {
    const place = header.places.get(name);
    const sizes = name.endsWith('weight') ? [shape.hidden, shape.hidden] : [shape.hidden];
    if (place?.shape.join() !== sizes.join()) {
      return damaged(`${name}: ${place?.shape.join(' × ') ?? 'none'} ≠ ${sizes.join(' × ')}`);
    }
    if (place.dtype !== 'F32' && place.dtype !== 'F16') return damaged(`${name}: ${place.dtype}`);
    if (!areFinite(file.subarray(place.from, place.to), place.dtype)) {
      return damaged(`${name}: NaN, ∞`);
    }
  }
  return tapTrouble(record, header, parts);
}

/** Return an error if a tap refers to a location other than its layer's map, or null. */
function tapTrouble(
  record: LensPackRecord,
  { places }: SafetensorsHeader,
  parts: readonly string[],
): LensTrouble | null {
  for (const [variant, taps] of Object.entries(record.taps)) {
    for (const [layer, tap] of taps.entries()) {
      const wanted = parts.map((part) => {
        const { dtype = '', from = -1 } = places.get(`layer_${layer}.${part}`) ?? {};
        return `layer_${layer}_lens/${part} ${dtype === 'F16' ? 10 : 1} ${from}`;
      });
      const found = storedTensors(tap).map(
        ({ name, dtype, offset }) => `${name} ${dtype} ${offset}`,
      );
      if (found.sort().join() !== wanted.sort().join()) {
        return { reason: 'damaged', detail: `${variant}: layer ${layer}` };
      }
    }
  }
  return null;
}

function descriptionIn(metadata: unknown): { kind: unknown; weights: unknown } | null {
  const text = (metadata as Record<string, unknown> | undefined)?.[documentKey];
  const verdict = typeof text === 'string' ? parseStrictJson(text) : null;
  if (verdict?.kind !== 'json') return null;
  const { kind, weights } = (verdict.value ?? {}) as Record<string, unknown>;
  return { kind, weights };
}
