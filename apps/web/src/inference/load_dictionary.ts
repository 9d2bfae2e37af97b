// Downloads a dictionary when the reader opens it, checks it, and adds its tap to a variant's.
import type { DictionaryRecord, Manifest, Variant } from '../contract/generated';
import { downloadFile, type Following } from './download_file';
import { findBundle } from './find_bundle';
import type { EarlyStart } from './load_model';
import { ModelError } from './model_error';
import type { OpenRequest } from './model_types';
import { dictionaryTrouble } from './read_dictionary';

/** A dictionary whose file was downloaded and checked. */
export interface LoadedDictionary {
  readonly record: DictionaryRecord;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Load a dictionary by its name. Rejects with a BundleError or a ModelError. */
export async function loadDictionary(
  name: string,
  manifest: Manifest,
  { request, baseUrl, early }: { request: OpenRequest; baseUrl: string; early: EarlyStart },
  following?: Following,
): Promise<LoadedDictionary> {
  const record = manifest.dictionaries?.find((each) => each.name === name);
  const descriptor = manifest.files.find(({ path }) => path === record?.path);
  if (record === undefined || descriptor === undefined) {
    const known = (manifest.dictionaries ?? []).map((each) => each.name);
    throw new ModelError({ kind: 'unknown-dictionary', got: name, known });
  }
  const { source, found } = findBundle(request, baseUrl, early);
  const { latest } = await found;
  const bytes = await downloadFile({ source, latest }, manifest, descriptor, early, following);
  const trouble = dictionaryTrouble(bytes, record, manifest);
  if (trouble !== null) throw new ModelError({ kind: 'unfit-dictionary', name, ...trouble });
  return { record, bytes };
}

/** Return the variant with the taps of these dictionaries among its own. */
export function withDictionaries(
  variant: Variant,
  dictionaries: readonly LoadedDictionary[],
): Variant {
  if (dictionaries.length === 0) return variant;
  const taps = dictionaries.flatMap(({ record }) => record.taps[variant.name] ?? []);
  return { ...variant, taps: [...variant.taps, ...taps] };
}
