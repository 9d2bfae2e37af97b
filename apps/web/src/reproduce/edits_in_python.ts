// Interventions as lines of Python that change what flows at a joint, a row for each kind of edit.
import type { ModelShape } from '../contract/generated';
import {
  numberFields,
  numbersOf,
  placeOf,
  type Edit,
  type EditNumbers,
  type Places,
  type Positions,
} from '../inference/edits';
import { isEdit, type Interventions, type JointClosing } from '../inference/interventions';
import type { ClosingTensor } from '../inference/joint_edit';
import { jointEdits } from '../inference/joint_edits';
import type { Place } from './hooks';
import type { HelperName } from './python_helpers';
import { pythonIntegers, pythonNumber, pythonString, pythonTensor } from './python_text';

export interface EditsInPython {
  readonly helpers: readonly HelperName[];
  readonly lines: readonly string[];
}

/** The function that makes each edit, and its arguments before the places. */
const EDITS: Readonly<Record<Edit['edit'], readonly [HelperName, readonly string[]]>> = {
  scale: ['scale', ['factor']],
  add: ['add', ['vector']],
  replace: ['replace', ['value']],
  'knock-out': ['knock_out', []],
  'project-out': ['project_out', ['direction', 'amount']],
  cap: ['cap', ['direction', 'limit']],
  swap: ['swap', ['first', 'second', 'amount']],
  clamp: ['clamp', ['encoder', 'bias', 'threshold', 'direction', 'value']],
};

/** The effect of each closing on a value, by the names of its inputs. */
const CLOSINGS: Readonly<Record<JointClosing['closing'], readonly [HelperName[], string]>> = {
  identity: [[], 'value'],
  add: [[], 'value + add'],
  scale: [[], 'value * scale'],
  replace: [[], 'torch.where(mask, value_put, value)'],
  'project-out': [['along'], 'value - amount * along(value, direction) * direction'],
  cap: [['along'], 'value - (along(value, direction) - limit).clamp(min=0) * direction'],
  swap: [['mirrored'], 'mirrored(value, first, second, amount)'],
  clamp: [
    ['feature'],
    'value + amount * (value_put - feature(value, encoder, bias, threshold)) * direction',
  ],
};

/** List where these interventions change one text. */
export function editedPlaces(interventions: Interventions): Place[] {
  return interventions.filter(isOfOneText).map((entry) => {
    const { joint, layer } = isEdit(entry) ? placeOf(entry) : entry;
    return { joint, layer };
  });
}

/** Return the lines that make these interventions for one text of so many tokens. */
export function editsInPython(
  interventions: Interventions,
  shape: ModelShape,
  tokens: number,
): EditsInPython {
  const helpers: HelperName[] = [];
  const lines: string[] = [];
  for (const entry of interventions.filter(isOfOneText)) {
    if (isEdit(entry)) {
      const { joint, layer } = placeOf(entry);
      const [name] = EDITS[entry.edit];
      helpers.push('at', name);
      lines.push(`change(${pythonString(joint)}, ${layer}, ${editCall(entry, tokens)})`);
    } else {
      helpers.push('at', ...CLOSINGS[entry.closing][0]);
      lines.push(...closingLines(entry, shape, tokens, lines.length));
    }
  }
  return { helpers, lines };
}

/** Return whether an intervention has values for each token of the text. */
export function isOfTokens(entry: Interventions[number]): boolean {
  if (!isEdit(entry))
    return Object.values(entry.tensors).some(({ dims }) => (dims.at(-2) ?? 1) > 1);
  return Object.values(numbersOf(entry)).some(({ dims }) => (dims.at(-2) ?? 1) > 1);
}

/** Return whether an intervention changes the first text of a batch. */
function isOfOneText(entry: Interventions[number]): boolean {
  const row = isEdit(entry) ? entry.row : undefined;
  return row === undefined || (typeof row === 'number' ? row === 0 : row.includes(0));
}

function editCall(edit: Edit, tokens: number): string {
  const [name, fields] = EDITS[edit.edit];
  const numbers = numbersOf(edit);
  const { head, neuron, position, key } = placeOf(edit);
  const given = fields.map((field) => numbersText(numbers[field], isVector(name, field)));
  const places: [string, readonly number[] | null][] = [
    ['heads', listed(head)],
    ['tokens', positionsIn(position, tokens)],
    ['columns', listed(neuron) ?? positionsIn(key, tokens)],
  ];
  for (const [word, chosen] of places)
    if (chosen !== null) given.push(`${word}=${pythonIntegers(chosen)}`);
  return `${name}(${given.join(', ')})`;
}

/** Return whether an argument is a tensor even where it is one number. */
function isVector(name: HelperName, field: string): boolean {
  return name === 'add' || name === 'replace' || !numberFields.has(field);
}

function numbersText(numbers: EditNumbers | undefined, isTensor: boolean): string {
  const { dims, data } = numbers ?? { dims: [], data: Float32Array.of(0) };
  if (!isTensor) return pythonNumber(data[0] ?? 0);
  if (dims.length === 0) return `torch.tensor(${pythonNumber(data[0] ?? 0)})`;
  return pythonTensor(data, dims.length === 1 ? null : dims);
}

function listed(places: Places | undefined): readonly number[] | null {
  if (places === undefined) return null;
  return typeof places === 'number' ? [places] : places;
}

/** Return the tokens that are named in a text of so many; null for all. */
function positionsIn(given: Positions | undefined, tokens: number): readonly number[] | null {
  if (given === undefined) return null;
  const counted = (at: number): number => (at < 0 ? tokens + at : at);
  if (typeof given === 'number') return [counted(given)].filter((at) => at < tokens);
  if ('length' in given) return [...new Set(given.map(counted))].filter((at) => at < tokens);
  const start = Math.max(0, counted(given.start ?? 0));
  const stop = Math.min(tokens, given.stop === undefined ? tokens : counted(given.stop));
  return Array.from({ length: Math.max(0, stop - start) }, (_, at) => start + at);
}

function closingLines(
  entry: JointClosing,
  shape: ModelShape,
  tokens: number,
  at: number,
): string[] {
  const placed = jointEdits([entry], shape, { start: 0, end: tokens });
  return placed.flatMap(({ joint, layer, closing, tensors }) => {
    const name = `closing_${at}`;
    const inputs = Object.entries(tensors).map(
      ([input, tensor]) => `${input === 'value' ? 'value_put' : input}=${tensorText(tensor)}`,
    );
    return [
      `def ${name}(${['value', ...inputs].join(', ')}):`,
      `    return ${CLOSINGS[closing][1]}`,
      '',
      '',
      `change(${pythonString(joint)}, ${layer}, ${name})`,
    ];
  });
}

function tensorText({ dims, data }: ClosingTensor): string {
  return data instanceof Uint8Array
    ? `torch.tensor(${pythonIntegers(data)}).reshape(${pythonIntegers(dims)}).bool()`
    : pythonTensor(data, dims);
}
