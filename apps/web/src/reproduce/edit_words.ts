// An intervention as a few words of English, for facts in scripts and captions of data.
import { placeOf, type Places, type Positions } from '../inference/edits';
import { isEdit, type Intervention } from '../inference/interventions';

export function editWords(entry: Intervention): string {
  if (!isEdit(entry)) return `${entry.closing} at layer_${entry.layer}_${entry.joint}`;
  const { joint, layer, head, neuron, position, key } = placeOf(entry);
  const where = [
    ['head', head],
    ['neuron', neuron],
    ['token', position],
    ['key', key],
  ] as const;
  const places = where.flatMap(([word, given]) =>
    given === undefined ? [] : [` ${word} ${placesWords(given)}`],
  );
  return `${entry.edit}${amountWords(entry)} at layer_${layer}_${joint}${places.join('')}`;
}

function amountWords(edit: Extract<Intervention, { edit: string }>): string {
  if (edit.edit === 'scale') return ` by ${edit.factor ?? 0}`;
  if (edit.edit === 'clamp') return ` to ${edit.value}`;
  return edit.edit === 'add' && edit.strength !== undefined ? ` times ${edit.strength}` : '';
}

function placesWords(given: Places | Positions): string {
  if (typeof given === 'number') return String(given);
  if ('length' in given) return given.join(', ');
  return `${given.start ?? 0} to ${given.stop ?? 'the last'}`;
}
