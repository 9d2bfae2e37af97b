// The short name of a unit in lists: its layer, what it is, its number.
import type { Dictionary } from '../../i18n/dictionary';
import type { UnitRef } from '../../contract/dashboard_unit';

export function unitName({ kind, layer, unit }: UnitRef, words: Dictionary): string {
  return `${words.layerShort(layer)} · ${words.units.name[kind] ?? kind} ${unit}`;
}
