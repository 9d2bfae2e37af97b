// Checks a lens pack's file against its manifest: the model, the maps, and the locations that its taps refer to. The
// digest is already verified, but the contents are untrusted. The same rules in Python: oriel/lenses/pack.py and
// pack_file.py.
import type { SafetensorsHeader } from '../bundle/weights/safetensors';
import type { LensPackRecord, Manifest } from '../contract/generated';
import { mappedLayers } from '../contract/validate_lens_packs';
import {
  damaged,
  readDescribed,
  readsTensors,
  tensorTrouble,
  type FileTrouble,
} from './described_file';

/** Metadata key of the description, which is JSON. */
const documentKey = 'oriel.lens_pack';

/** Return what is wrong with a pack's file, or null. */
export function lensTrouble(
  file: Uint8Array<ArrayBuffer>,
  record: LensPackRecord,
  { model }: Manifest,
): FileTrouble | null {
  const described = readDescribed(file, documentKey, model.weights_digest);
  if ('reason' in described) return described;
  const { header, said } = described;
  if (said['kind'] !== record.description.kind) return damaged(`kind ${String(said['kind'])}`);
  const { hidden } = model.shape;
  const weight = ['weight', [hidden, hidden]] as const;
  const parts = said['kind'] === 'tuned' ? [weight, ['bias', [hidden]] as const] : [weight];
  const sizes = mappedLayers(model.shape).flatMap((layer) =>
    parts.map(([part, size]) => [`layer_${layer}.${part}`, size] as const),
  );
  const detail =
    tensorTrouble(file, header, new Map<string, readonly number[]>(sizes)) ??
    tapTrouble(record, header);
  return detail === null ? null : damaged(detail);
}

/** Return an error if a tap refers to a location other than its layer's map, or null. */
function tapTrouble(record: LensPackRecord, { places }: SafetensorsHeader): string | null {
  for (const [variant, taps] of Object.entries(record.taps)) {
    for (const [layer, tap] of taps.entries()) {
      const wanted = ['weight', 'bias'].flatMap((part) => {
        const place = places.get(`layer_${layer}.${part}`);
        return place === undefined ? [] : [[`layer_${layer}_lens/${part}`, place] as const];
      });
      if (!readsTensors(tap, wanted)) return `${variant}: layer ${layer}`;
    }
  }
  return null;
}
