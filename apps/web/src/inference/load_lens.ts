// Downloads a lens pack when the reader selects it, checks it, and replaces the logit lens's taps by the pack's.
import type { LensPackRecord, Manifest, Variant } from '../contract/generated';
import { downloadFile } from './download_file';
import { findBundle } from './find_bundle';
import { lensNames, logitLens } from './lens_names';
import type { EarlyStart } from './load_model';
import { ModelError } from './model_error';
import type { OpenRequest } from './model_types';
import { lensTrouble } from './read_lens_pack';

/** A pack whose file was downloaded and checked. */
export interface LoadedLens {
  readonly record: LensPackRecord;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Load a lens by its name; null for the logit lens. Rejects with a BundleError or a ModelError. */
export async function loadLens(
  name: string,
  manifest: Manifest,
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<LoadedLens | null> {
  if (name === logitLens) return null;
  const record = manifest.lens_packs?.find((pack) => pack.name === name);
  const descriptor = manifest.files.find(({ path }) => path === record?.path);
  if (record === undefined || descriptor === undefined) {
    throw new ModelError({ kind: 'unknown-lens', got: name, known: lensNames(manifest) });
  }
  const { source, found } = findBundle(request, baseUrl, early);
  const { latest } = await found;
  const bytes = await downloadFile({ source, latest }, manifest, descriptor, early);
  const trouble = lensTrouble(bytes, record, manifest);
  if (trouble !== null) throw new ModelError({ kind: 'unfit-lens', name, ...trouble });
  return { record, bytes };
}

/** Return the variant with the pack's taps in place of its own taps for the same outputs. */
export function throughLens(variant: Variant, lens: LoadedLens | null): Variant {
  const taps = lens?.record.taps[variant.name];
  if (taps === undefined) return variant;
  const given = new Set(taps.flatMap(({ outputs }) => outputs.map(({ name }) => name)));
  const own = variant.taps.filter(({ outputs }) => !outputs.some(({ name }) => given.has(name)));
  return { ...variant, taps: [...own, ...taps] };
}
