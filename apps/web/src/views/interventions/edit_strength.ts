// The number of an edit that a row of the list lets the reader change: a factor, a strength, or a feature's value. No
// DOM.
import { isEdit } from '../../inference/interventions';
import type { ListedEdit } from '../../inference/listed_edits';

export interface EditStrength {
  readonly value: number;
  /** The slider goes from minus this to this; the field beside it takes any number. */
  readonly most: number;
  readonly step: number;
}

/** Return the number of an edit; null for an edit that has none. */
export function strengthOf({ edit, from }: ListedEdit): EditStrength | null {
  if (!isEdit(edit)) return null;
  if (edit.edit === 'scale') return { value: edit.factor ?? 0, most: 2, step: 0.05 };
  if (edit.edit === 'clamp') return { value: edit.value, most: 50, step: 0.5 };
  if (edit.edit !== 'add') return null;
  const value = edit.strength ?? 1;
  // For a direction of length 1 the strength is a length of the stream's own size.
  const isLength = from !== null && 'unembedding' in from;
  return isLength ? { value, most: 200, step: 1 } : { value, most: 10, step: 0.25 };
}

/** Return the entry with another number; the same entry for an edit that has none, or where the value is not finite. */
export function withStrength(entry: ListedEdit, value: number): ListedEdit {
  const { edit } = entry;
  if (!Number.isFinite(value) || !isEdit(edit)) return entry;
  if (edit.edit === 'scale') return { ...entry, edit: { ...edit, factor: value } };
  if (edit.edit === 'clamp') return { ...entry, edit: { ...edit, value } };
  return edit.edit === 'add' ? { ...entry, edit: { ...edit, strength: value } } : entry;
}
