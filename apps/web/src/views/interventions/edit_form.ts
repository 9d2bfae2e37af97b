// The form for an edit: reads its fields as an edit of the list, and fills them from one. No DOM.
import type { ModelShape } from '../../contract/generated';
import { EditError, type Edit, type Positions } from '../../inference/edits';
import { isEdit, type Interventions } from '../../inference/interventions';
import { jointEdits } from '../../inference/joint_edits';
import { checkListed, type ListedEdit, type TokenDirection } from '../../inference/listed_edits';
import { layerShape } from '../../contract/activation_table';

export const FORM_KINDS = ['scale', 'knock-out', 'steer', 'mean'] as const;
export type FormKind = (typeof FORM_KINDS)[number];
export const DIRECTIONS = ['texts', 'tokens', 'numbers'] as const;
export const PARTS = ['head', 'neuron', 'attention', 'mlp'] as const;
export type Part = (typeof PARTS)[number];

/** The fields as the reader fills them. */
export interface FormFields {
  kind: FormKind;
  part: Part;
  layer: string;
  /** Empty for every head, of a knock-out alone. */
  head: string;
  neuron: string;
  positions: string;
  factor: string;
  query: string;
  key: string;
  direction: (typeof DIRECTIONS)[number];
  /** Tokens as the reader names them; the second may be empty. */
  token: string;
  minus: string;
  towards: string;
  away: string;
  numbers: string;
  strength: string;
  reference: string;
}

export type FieldName = keyof FormFields;

export type Problem =
  | { readonly kind: 'range'; readonly got: string; readonly most: number }
  | { readonly kind: 'number'; readonly got: string }
  | { readonly kind: 'positions'; readonly got: string; readonly most: number }
  | { readonly kind: 'text' }
  | { readonly kind: 'count'; readonly got: number; readonly expected: number }
  | { readonly kind: 'unread' | 'not-token'; readonly got: string }
  | { readonly kind: 'same-token' }
  | { readonly kind: 'blind' }
  | { readonly kind: 'other'; readonly detail: string };

/** A field that can't be read, and why. */
export class FormError extends Error {
  override readonly name = 'FormError';
  readonly field: FieldName;
  readonly problem: Problem;

  constructor(field: FieldName, problem: Problem) {
    super(`${field}: ${problem.kind}`);
    this.field = field;
    this.problem = problem;
  }
}

/** The fields of a new edit of a text. */
export function newFields(tokens: number): FormFields {
  return {
    ...{ kind: 'scale', part: 'head', layer: '0', head: '0', neuron: '0', positions: '' },
    ...{ factor: '0', query: String(Math.max(0, tokens - 1)), key: '0' },
    ...{ direction: 'texts', towards: '', away: '', token: '', minus: '' },
    ...{ numbers: '', strength: '4', reference: '' },
  };
}

const jointOf = {
  head: 'attn_z',
  neuron: 'mlp_act',
  attention: 'attn_output',
  mlp: 'mlp_output',
} as const satisfies Record<Part, string>;

/**
 * Read the fields. `tokens` are those of the fields `token` and `minus`. Throws a FormError for the first that can't be read
 * or that the model has no place for.
 */
export function readForm(
  fields: FormFields,
  shape: ModelShape,
  tokens: TokenDirection | null = null,
): Omit<ListedEdit, 'isOn'> {
  const layer = whole(fields, 'layer', shape.layers - 1);
  const position = positionsOf(fields, shape.context_length);
  const where = { layer, ...(position !== undefined && { position }) };
  switch (fields.kind) {
    case 'scale': {
      const factor = number(fields, 'factor');
      const edit = { edit: 'scale', ...partOf(fields, shape), ...where, factor } as const;
      return checked({ edit, from: null }, shape);
    }
    case 'mean': {
      const from = { mean: textOf(fields, 'reference') };
      const edit = { edit: 'replace', ...partOf(fields, shape), ...where, value: 0 } as const;
      return checked({ edit, from }, shape);
    }
    case 'knock-out': {
      const heads = layerShape(shape, layer).heads - 1;
      const head = fields.head.trim() === '' ? undefined : whole(fields, 'head', heads);
      const query = whole(fields, 'query', shape.context_length - 1);
      const key = whole(fields, 'key', shape.context_length - 1);
      const edit = {
        edit: 'knock-out',
        layer,
        ...(head !== undefined && { head }),
        query,
        key,
      } as const;
      return checked({ edit, from: null }, shape);
    }
    case 'steer': {
      const strength = number(fields, 'strength');
      const place = { edit: 'add', joint: 'resid_post', ...where, strength } as const;
      if (fields.direction === 'numbers')
        return checked(
          { edit: { ...place, vector: numbersOf(fields, shape.hidden) }, from: null },
          shape,
        );
      if (fields.direction === 'tokens') {
        if (tokens === null) throw new FormError('token', { kind: 'not-token', got: fields.token });
        if (tokens[0] === tokens[1]) throw new FormError('minus', { kind: 'same-token' });
        return checked({ edit: { ...place, vector: 0 }, from: { unembedding: tokens } }, shape);
      }
      const difference = [textOf(fields, 'towards'), textOf(fields, 'away')] as const;
      return checked({ edit: { ...place, vector: 0 }, from: { difference } }, shape);
    }
  }
}

/** Throw a FormError where the edits, this one among them, leave a token nothing to look at. */
export function checkTogether(edits: Interventions, shape: ModelShape, tokens: number): void {
  try {
    jointEdits(edits, shape, { start: 0, end: tokens, goesOn: true });
  } catch (error) {
    if (!(error instanceof EditError)) throw error;
    if (error.field === 'query') throw new FormError('query', { kind: 'blind' });
    throw new FormError('layer', { kind: 'other', detail: error.message });
  }
}

/** Return the fields that make this edit; null for one that the form can't make. */
export function fieldsOf({ edit, from }: ListedEdit, tokens: number): FormFields | null {
  if (!isEdit(edit)) return null;
  const fields = { ...newFields(tokens), layer: String(edit.layer) };
  if (edit.edit === 'knock-out') {
    const { query, key, head } = edit;
    if (typeof query !== 'number' || typeof key !== 'number' || typeof head === 'object')
      return null;
    const places = { query: String(query), key: String(key), head: String(head ?? '') };
    return { ...fields, kind: 'knock-out', ...places };
  }
  const positions = textOfPositions(edit.position);
  if (positions === null) return null;
  const where = { ...fields, positions };
  if (edit.edit === 'add') {
    if (edit.joint !== 'resid_post' || edit.key !== undefined) return null;
    // The form has no field for a feature.
    if (from !== null && 'feature' in from) return null;
    const strength = String(edit.strength ?? 1);
    return { ...where, kind: 'steer', strength, ...directionOf(edit.vector, from) };
  }
  if (edit.edit !== 'scale' && edit.edit !== 'replace') return null;
  const part = PARTS.find((each) => jointOf[each] === edit.joint);
  if (part === undefined) return null;
  const head = edit.head === undefined ? '' : String(edit.head);
  const neuron = edit.neuron === undefined ? '' : String(edit.neuron);
  // A part of a part, several of them, or all: the form has no words for those.
  const isPlain =
    /^\d*$/.test(head + neuron) &&
    (part === 'head') === (head !== '') &&
    (part === 'neuron') === (neuron !== '');
  if (!isPlain) return null;
  const parts = { ...where, part, ...(head && { head }), ...(neuron && { neuron }) };
  if (edit.edit === 'scale') return { ...parts, kind: 'scale', factor: String(edit.factor ?? 0) };
  return from !== null && 'mean' in from ? { ...parts, kind: 'mean', reference: from.mean } : null;
}

function directionOf(
  vector: Extract<Edit, { edit: 'add' }>['vector'],
  from: ListedEdit['from'],
): Partial<FormFields> {
  if (from !== null && 'difference' in from) {
    const [towards, away] = from.difference;
    return { direction: 'texts', towards, away };
  }
  if (from !== null && 'unembedding' in from) {
    const [token, minus] = from.unembedding.map(String);
    return { direction: 'tokens', token: token ?? '', minus: minus ?? '' };
  }
  const values = typeof vector === 'number' || 'shape' in vector ? [] : Array.from(vector);
  return { direction: 'numbers', numbers: values.join(' ') };
}

function partOf(fields: FormFields, shape: ModelShape): { joint: (typeof jointOf)[Part] } {
  const joint = jointOf[fields.part];
  const { heads, intermediate } = layerShape(shape, whole(fields, 'layer', shape.layers - 1));
  if (fields.part === 'head')
    return Object.assign({ joint }, { head: whole(fields, 'head', heads - 1) });
  if (fields.part === 'neuron')
    return Object.assign({ joint }, { neuron: whole(fields, 'neuron', intermediate - 1) });
  return { joint };
}

function checked<Entry extends Omit<ListedEdit, 'isOn'>>(entry: Entry, shape: ModelShape): Entry {
  try {
    checkListed({ ...entry, isOn: true }, shape);
    return entry;
  } catch (error) {
    if (!(error instanceof EditError)) throw error;
    throw new FormError('layer', { kind: 'other', detail: error.message });
  }
}

function whole(fields: FormFields, field: FieldName, most: number): number {
  const got = fields[field].trim();
  if (!/^\d{1,7}$/.test(got) || Number(got) > most)
    throw new FormError(field, { kind: 'range', got, most });
  return Number(got);
}

function number(fields: FormFields, field: FieldName): number {
  const got = fields[field].trim().replace('−', '-');
  if (got === '' || !Number.isFinite(Math.fround(Number(got))))
    throw new FormError(field, { kind: 'number', got });
  return Number(got);
}

function textOf(fields: FormFields, field: FieldName): string {
  if (fields[field].trim() === '') throw new FormError(field, { kind: 'text' });
  return fields[field];
}

/** Read pasted numbers, apart by white space, commas or brackets. */
function numbersOf({ numbers }: FormFields, width: number): number[] {
  const texts = numbers.split(/[\s,;[\]()]+/).filter((text) => text !== '');
  const values = texts.map(Number);
  const bad = values.findIndex((value) => !Number.isFinite(Math.fround(value)));
  if (bad >= 0)
    throw new FormError('numbers', { kind: 'unread', got: (texts[bad] ?? '').slice(0, 40) });
  if (values.length !== width)
    throw new FormError('numbers', { kind: 'count', got: values.length, expected: width });
  return values;
}

/** Read positions as in "3, 5–8" or "4–"; undefined for all. */
function positionsOf({ positions }: FormFields, context: number): Positions | undefined {
  const got = positions.trim();
  if (got === '') return undefined;
  const most = context - 1;
  const wrong = new FormError('positions', { kind: 'positions', got, most });
  const open = /^(\d{1,7})\s*[-–]$/.exec(got);
  if (open !== null) {
    if (Number(open[1]) > most) throw wrong;
    return { start: Number(open[1]) };
  }
  const found = new Set<number>();
  for (const part of got.split(/[,，、\s]+(?![-–])/).filter((text) => text !== '')) {
    const range = /^(\d{1,7})(?:[-–](\d{1,7}))?$/.exec(part);
    const [first, last] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
    if (range === null || last > most || first > last) throw wrong;
    for (let at = first; at <= last; at++) found.add(at);
  }
  if (found.size === 0) throw wrong;
  const sorted = [...found].sort((a, b) => a - b);
  return sorted.length === 1 ? sorted[0] : sorted;
}

/** Write positions as the form has them; null for those that count from the end. */
function textOfPositions(position: Positions | undefined): string | null {
  if (position === undefined) return '';
  if (typeof position === 'number') return position < 0 ? null : String(position);
  if ('length' in position) return position.some((at) => at < 0) ? null : position.join(', ');
  const { start = 0, stop } = position;
  if (start < 0 || (stop ?? 0) < 0) return null;
  if (stop === undefined) return `${start}–`;
  return start < stop ? `${start}–${stop - 1}` : null;
}
