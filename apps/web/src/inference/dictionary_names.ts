// Finds a model's dictionaries by their names, and by the outputs that give their features. load_dictionary.ts loads their
// files.
import type { DictionaryRecord, Manifest } from '../contract/generated';
import { featuresName } from '../contract/validate_dictionaries';

/** A dictionary, and the number of one of its features; null for none. */
export interface FeatureRef {
  readonly dictionary: string;
  readonly feature: number | null;
}

/** Return the dictionary that a reference names, where it has the feature; else null. */
export function dictionaryWith(
  dictionaries: readonly DictionaryRecord[],
  { dictionary, feature }: FeatureRef,
): DictionaryRecord | null {
  const found = dictionaries.find(({ name }) => name === dictionary);
  return (feature ?? 0) < (found?.description.features ?? 0) ? (found ?? null) : null;
}

/** Return the dictionaries whose features are among these outputs. */
export function dictionariesOf(
  { dictionaries = [] }: Pick<Manifest, 'dictionaries'>,
  outputs: readonly string[],
): DictionaryRecord[] {
  const wanted = new Set(outputs);
  return dictionaries.filter(({ name }) => wanted.has(featuresName(name)));
}
