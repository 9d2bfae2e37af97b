// A unit that has dashboards, and the group of the manifest's that it is in.
import { featuresName } from './validate_dictionaries';
import type { DashboardGroup, DictionaryRecord } from './generated';

/** A unit by the kind of the activation that holds it, its layer, and its number there. */
export interface UnitRef {
  readonly kind: string;
  readonly layer: number;
  readonly unit: number;
}

/** Return a dictionary's feature as a unit of the layer that the dictionary reads. */
export function featureUnit(
  { name, description }: Pick<DictionaryRecord, 'name' | 'description'>,
  feature: number,
): UnitRef {
  return { kind: featuresName(name), layer: description.reads.layer, unit: feature };
}

/** Return the group of a kind in a layer; null where there is none. */
export function groupOf(
  groups: readonly DashboardGroup[],
  { kind, layer }: Omit<UnitRef, 'unit'>,
): DashboardGroup | null {
  return groups.find((each) => each.kind === kind && each.layer === layer) ?? null;
}

/** Return whether a unit is in one of the groups. */
export function hasUnit(groups: readonly DashboardGroup[], ref: UnitRef): boolean {
  return ref.unit < (groupOf(groups, ref)?.units ?? 0);
}
