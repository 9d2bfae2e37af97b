// Names of units: in lists with the layer in front, in headings and sentences without.
import type { UnitRef } from '../../contract/dashboard_unit';
import { dictionaryOfKind } from '../../contract/validate_dictionaries';
import type { Dictionary } from '../../i18n/dictionary';

/** Return the short name of a unit in lists: its layer, its kind, its number. */
export function unitName(ref: UnitRef, words: Dictionary): string {
  return `${words.layerShort(ref.layer)} · ${unitWords(ref, words)}`;
}

/** Return the name of a unit without its layer, as "neuron 17" or "feature 17 of mlp_11". */
export function unitWords({ kind, unit }: UnitRef, words: Dictionary): string {
  const { name, numbered, feature } = words.units;
  const dictionary = dictionaryOfKind(kind);
  return dictionary === null ? numbered(name[kind] ?? kind, unit) : feature(unit, dictionary);
}

/** Return the name of a kind of units. */
export function kindName(kind: string, words: Dictionary): string {
  const dictionary = dictionaryOfKind(kind);
  return dictionary === null ? (words.units.kinds[kind] ?? kind) : words.units.features(dictionary);
}
