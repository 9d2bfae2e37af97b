// The unit that an edit is of, for the link to its page.
import { isEdit } from '../../inference/interventions';
import type { ListedEdit } from '../../inference/listed_edits';
import type { UnitRef } from '../../contract/dashboard_unit';

/** Return the one neuron, head or coordinate of the stream that an edit changes; null where it changes several. */
export function unitOfEdit({ edit }: ListedEdit): UnitRef | null {
  if (!isEdit(edit) || !('joint' in edit)) return null;
  const { joint: kind, layer } = edit;
  const neuron = 'neuron' in edit ? edit.neuron : undefined;
  const unit = kind === 'attn_z' ? edit.head : neuron;
  // One number of a head's mix is no unit.
  const isWhole = kind !== 'attn_z' || neuron === undefined;
  return typeof unit === 'number' && isWhole ? { kind, layer, unit } : null;
}
