// Changes to a forward pass as a researcher says them: switch a head off, add a vector, put in other values, knock out
// attention between two tokens. Python has the same in oriel/runtime/edits.py. place_edits.ts turns them into closings
// of an open graph's joints; edit_json.ts reads them.
import type { ActivationKind, ClosingName, Stretch } from '../contract/generated';

/** Fields of edits that are one number each, unless an edit adds or replaces values. */
export const numberFields: ReadonlySet<string> = new Set([
  ...['factor', 'amount', 'limit', 'bias', 'threshold', 'value'],
]);

/** One index, or several. */
export type Places = number | readonly number[];

/** Tokens, counted from the text's first, cached ones too; negative ones from the end of the text so far. */
export type Positions = Places | Readonly<Stretch>;

type NumberList = readonly number[] | Float32Array;

/** A number, one for each of the joint's last dimension, or what broadcasts to the whole joint. */
export type Numbers =
  number | NumberList | { readonly shape: readonly number[]; readonly values: NumberList };

interface SomePlaces {
  readonly layer: number;
  /** Heads of q, attn_scores, attn_probs and attn_z; key heads of k and v. */
  readonly head?: Places;
  /** Number of texts of the batch. */
  readonly row?: Places;
}

/** A change at the places of a joint that are named, at all where none are. */
interface AtJoint extends SomePlaces {
  readonly joint: ActivationKind;
  /** Tokens; of attn_scores and attn_probs those that look. */
  readonly position?: Positions;
}

interface AtAnyJoint extends AtJoint {
  /** Numbers of the last dimension: neurons of mlp_act, components elsewhere. */
  readonly neuron?: Places;
  /** Tokens that are looked at: of attn_scores and attn_probs alone. */
  readonly key?: Positions;
}

/** Multiplies by a factor; 0, the default, switches off. */
export interface ScaleEdit extends AtAnyJoint {
  readonly edit: 'scale';
  readonly factor?: number;
}

/** Adds numbers, times a strength, which is 1 by default. */
export interface AddEdit extends AtAnyJoint {
  readonly edit: 'add';
  readonly vector: Numbers;
  readonly strength?: number;
}

/** Puts in other values; those of tokens are counted from the text's first. */
export interface ReplaceEdit extends AtAnyJoint {
  readonly edit: 'replace';
  readonly value: Numbers;
}

/** Lets queries see nothing of keys: the softmax gives their share to the others. */
export interface KnockOutEdit extends SomePlaces {
  readonly edit: 'knock-out';
  readonly query?: Positions;
  readonly key?: Positions;
}

/** Takes away the component along a direction; an amount of 2 mirrors it. */
export interface ProjectOutEdit extends AtJoint {
  readonly edit: 'project-out';
  readonly direction: NumberList;
  readonly amount?: number;
}

/** Lowers the component along a direction to a limit where it is above. */
export interface CapEdit extends AtJoint {
  readonly edit: 'cap';
  readonly direction: NumberList;
  readonly limit: number;
}

/** Exchanges two directions by mirroring along the difference of their unit vectors. */
export interface SwapEdit extends AtJoint {
  readonly edit: 'swap';
  readonly first: NumberList;
  readonly second: NumberList;
  readonly amount?: number;
}

/**
 * Sets a feature of a dictionary to a value: adds (value − f) × direction, where f is x · encoder + bias if that is above
 * the threshold, else 0. At a joint with heads, encoder and direction have the numbers of all heads of a token, one head
 * after another, or of the one head that is named.
 */
export interface ClampEdit extends AtJoint {
  readonly edit: 'clamp';
  readonly head?: number;
  readonly encoder: NumberList;
  /** 0 by default. */
  readonly bias?: number;
  /** 0 by default; not negative. */
  readonly threshold?: number;
  readonly direction: NumberList;
  readonly value: number;
}

export type Edit =
  | ScaleEdit
  | AddEdit
  | ReplaceEdit
  | KnockOutEdit
  | ProjectOutEdit
  | CapEdit
  | SwapEdit
  | ClampEdit;

/** The closing that each edit becomes. */
export const closingOf = {
  scale: 'scale',
  add: 'add',
  replace: 'replace',
  'knock-out': 'replace',
  'project-out': 'project-out',
  cap: 'cap',
  swap: 'swap',
  clamp: 'clamp',
} as const satisfies Record<Edit['edit'], ClosingName>;

/** Closings of which several, one after another, are one. */
export const mergedClosings: ReadonlySet<ClosingName> = new Set(['scale', 'add', 'replace']);

/** An edit that a model or a text has no place for, or that is none. */
export class EditError extends RangeError {
  override readonly name = 'EditError';
  /** The field at fault. */
  readonly field: string;

  constructor(field: string, what: string, { got, expected }: { got?: string; expected?: string }) {
    const parts = [what, got && `got ${got}`, expected && `expected ${expected}`];
    super(parts.filter(Boolean).join('; '));
    this.field = field;
  }
}

/** The places where an edit acts, by the names that all edits have; undefined for all. */
export interface EditPlace extends SomePlaces {
  readonly joint: ActivationKind;
  readonly neuron?: Places | undefined;
  readonly position?: Positions | undefined;
  readonly key?: Positions | undefined;
}

export function placeOf(edit: Edit): EditPlace {
  return edit.edit === 'knock-out'
    ? { ...edit, joint: 'attn_scores', position: edit.query }
    : { ...edit };
}

/** Numbers as float32, with their dimensions: none for a single number. */
export interface EditNumbers {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/**
 * Return the numbers that an edit brings, by the names of its fields. Throws an EditError for what float32 can't hold.
 */
export function numbersOf(edit: Edit): Record<string, EditNumbers> {
  const read = (field: string, given: Numbers): EditNumbers => floats(edit, field, given);
  switch (edit.edit) {
    case 'scale':
      return { factor: read('factor', edit.factor ?? 0) };
    case 'add': {
      const strength = read('strength', edit.strength ?? 1).data[0] ?? 1;
      const { dims, data } = read('vector', edit.vector);
      return { vector: { dims, data: data.map((value) => value * strength) } };
    }
    case 'replace':
      return { value: read('value', edit.value) };
    case 'knock-out':
      return { value: { dims: [], data: Float32Array.of(lowest) } };
    case 'project-out':
      return {
        direction: unit(edit, 'direction', edit.direction),
        amount: read('amount', edit.amount ?? 1),
      };
    case 'cap':
      return {
        direction: unit(edit, 'direction', edit.direction),
        limit: read('limit', edit.limit),
      };
    case 'swap':
      return {
        first: unit(edit, 'first', edit.first),
        second: unit(edit, 'second', edit.second),
        amount: read('amount', edit.amount ?? 1),
      };
    case 'clamp':
      return {
        encoder: read('encoder', edit.encoder),
        bias: read('bias', edit.bias ?? 0),
        threshold: atLeastZero(edit, 'threshold', edit.threshold ?? 0),
        direction: read('direction', edit.direction),
        value: read('value', edit.value),
      };
  }
}

/** The score of a token that may not be looked at. */
const lowest = Math.fround(-3.4028234663852886e38);

/** Return whether an edit leaves every number as it is. */
export function changesNothing(edit: Edit): boolean {
  const { head, neuron, position, key, row } = placeOf(edit);
  const isNowhere = [head, neuron, position, key, row].some(
    (places) => typeof places === 'object' && 'length' in places && places.length === 0,
  );
  if (isNowhere) return true;
  switch (edit.edit) {
    case 'scale':
      return edit.factor === 1;
    case 'add':
      return edit.strength === 0 || listOf(edit.vector).every((value) => value === 0);
    case 'project-out':
    case 'swap':
      return edit.amount === 0;
    case 'replace':
    case 'knock-out':
    case 'cap':
      return false;
    case 'clamp':
      return listOf(edit.direction).every((value) => value === 0);
  }
}

/**
 * Return text that is the same for edits that say the same, negative positions counted from the end of a text of so many
 * tokens.
 */
export function editText(edit: Edit, tokens: number): string {
  const { head, neuron, position, key, row } = placeOf(edit);
  const places = [head, neuron, row].map((given) => placesText(given));
  const positions = [position, key].map((given) => positionsText(given, tokens));
  const numbers = Object.entries(numbersOf(edit)).map(
    ([name, { dims, data }]) => `${name} ${dims.join('x')} ${exactText(data)}`,
  );
  return [edit.edit, ...places, ...positions, ...numbers].join(' ');
}

function placesText(given: Places | undefined): string {
  if (given === undefined) return '*';
  const listed = typeof given === 'number' ? [given] : [...new Set(given)];
  return listed.sort((a, b) => a - b).join();
}

function positionsText(given: Positions | undefined, tokens: number): string {
  const counted = (at: number): number => (at < 0 ? tokens + at : at);
  if (given === undefined) return '*';
  if (typeof given === 'number') return placesText(counted(given));
  if ('length' in given) return placesText(given.map(counted));
  const { start, stop } = given;
  return `${counted(start ?? 0)}:${stop === undefined ? '' : counted(stop)}`;
}

/** Return the numbers bit by bit as text, far shorter and faster than digits: an edit may hold a million of them. */
export function exactText(given: Float32Array | Uint8Array): string {
  // Adding 0 makes -0 the 0 that it equals.
  const { buffer, byteOffset, byteLength } = given.map((value) => value + 0);
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096)
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

function listOf(given: Numbers): NumberList {
  if (typeof given === 'number') return [given];
  return 'shape' in given ? given.values : given;
}

function floats(edit: Edit, field: string, given: Numbers): EditNumbers {
  const values = listOf(given);
  // A sweep's edits share one array of values; keeping it lets the graph receive it once.
  const data = values instanceof Float32Array ? values : Float32Array.from(values);
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new EditError(field, `${field} of ${edit.edit} is no finite number`, {
      got: `${String(values[bad])}${data.length > 1 ? ` at index ${bad}` : ''}`,
      expected: 'numbers that float32 holds',
    });
  if (typeof given === 'number') return { dims: [], data };
  if (!('shape' in given)) return { dims: [data.length], data };
  const { shape } = given;
  if (shape.reduce((count, size) => count * size, 1) !== data.length)
    throw new EditError(field, `${field} of ${edit.edit} has another number of values than shape`, {
      got: String(data.length),
      expected: shape.join(' × '),
    });
  return { dims: shape, data };
}

function unit(edit: Edit, field: string, given: NumberList): EditNumbers {
  const { dims, data } = floats(edit, field, given);
  const length = Math.fround(Math.hypot(...data));
  if (length === 0) throw new EditError(field, `${field} of ${edit.edit} has no length`, {});
  return { dims, data: data.map((value) => value / length) };
}

function atLeastZero(edit: Edit, field: string, given: number): EditNumbers {
  if (given < 0)
    throw new EditError(field, `${field} of ${edit.edit} is negative`, {
      got: String(given),
      expected: '0 or more',
    });
  return floats(edit, field, given);
}
