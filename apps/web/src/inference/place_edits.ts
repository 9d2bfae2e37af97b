// Turns an edit into a closing of its joint for one run: with which tensors. Several of a run: joint_edits.ts. Throws an
// EditError for an edit that this model or this text has no place for.
import { elementCount } from '../contract/activation_table';
import type { ModelShape } from '../contract/generated';
import { either, indices, zipped } from './broadcast';
import { checkEdit, isHeadAxis, listed, misfit, type JointAxes } from './check_edits';
import {
  closingOf,
  EditError,
  numbersOf,
  placeOf,
  type Edit,
  type EditNumbers,
  type Places,
  type Positions,
} from './edits';
import type { ClosingTensor, FedSpan, JointEdit } from './joint_edit';

/** For each axis of a joint, which of its elements are edited; null for all. */
type Where = readonly (readonly boolean[] | null)[];

/** A limit that no component reaches. */
const far = Math.fround(3e38);

/** Return the closing of an edit in a run that feeds these tokens. */
export function placeEdit(edit: Edit, shape: ModelShape, fed: FedSpan): JointEdit {
  const axes = checkEdit(edit, shape);
  const where = whereOf(edit, axes, fed);
  const { joint, layer } = placeOf(edit);
  return {
    joint,
    layer,
    closing: closingOf[edit.edit],
    tensors: tensorsOf(edit, axes, where, fed),
  };
}

/** Return one closing that does what two alike ones in a row do. */
export function mergedEdits(one: JointEdit, other: JointEdit): JointEdit {
  const [first, second] = [one.tensors, other.tensors];
  const both = (name: string, change: (a: number, b: number) => number): ClosingTensor =>
    zipped(tensorAt(first, name), tensorAt(second, name), change);
  if (one.closing === 'scale')
    return { ...one, tensors: { scale: both('scale', (a, b) => a * b) } };
  if (one.closing === 'add') return { ...one, tensors: { add: both('add', (a, b) => a + b) } };
  const mask = tensorAt(second, 'mask');
  const kept = zipped(tensorAt(first, 'value'), mask, (value, isOver) => (isOver ? 0 : value));
  const over = zipped(tensorAt(second, 'value'), mask, (value, isOver) => (isOver ? value : 0));
  const value = zipped(kept, over, (a, b) => a + b);
  return { ...one, tensors: { value, mask: either(tensorAt(first, 'mask'), mask) } };
}

/** The keys that knock-outs of one layer take away, a mask of the scores' rank. */
export function knockedOut(before: ClosingTensor | undefined, placed: JointEdit): ClosingTensor {
  const mask = tensorAt(placed.tensors, 'mask');
  return before === undefined ? mask : either(before, mask);
}

/** Refuse to take every key from a query: its softmax would share out over tokens to come. */
export function checkKeysLeft({ dims, data }: ClosingTensor, { start, end }: FedSpan): void {
  const [heads = 1] = dims.slice(1);
  const wanted = [1, heads, end - start, end];
  const at = indices(dims, wanted);
  for (let head = 0; head < heads; head++)
    for (let query = start; query < end; query++) {
      const row = (head * (end - start) + query - start) * end;
      let isBlind = true;
      for (let key = 0; key <= query && isBlind; key++) isBlind = data[at[row + key] ?? 0] === 1;
      if (isBlind)
        throw new EditError('query', 'knock-out leaves a query no key to look at', {
          got: `query ${query}`,
          expected: 'one key at least that it still sees',
        });
    }
}

function tensorAt(tensors: JointEdit['tensors'], name: string): ClosingTensor {
  const tensor = tensors[name];
  if (tensor === undefined) throw new RangeError(`a closing without ${name}`);
  return tensor;
}

function whereOf(edit: Edit, { names, sizes }: JointAxes, fed: FedSpan): Where {
  const { head, neuron, position, key, row } = placeOf(edit);
  return names.map((name, axis) => {
    const size = Number(sizes[axis]);
    if (name === 'batch_size') return row === undefined ? null : chosen(row, 1);
    if (isHeadAxis(name)) return head === undefined ? null : chosen(head, size);
    if (name === 'sequence_length')
      return position === undefined
        ? null
        : atPositions(edit.edit === 'knock-out' ? 'query' : 'position', position, fed, fed.start);
    if (name === 'total_sequence_length')
      return key === undefined ? null : atPositions('key', key, fed, 0);
    return axis === names.length - 1 && neuron !== undefined ? chosen(neuron, size) : null;
  });
}

function chosen(given: Places, count: number): boolean[] {
  const places = new Set(listed(given));
  return Array.from({ length: count }, (_, at) => places.has(at));
}

/** Return which of the positions from `first` to the last that is fed are given. */
function atPositions(field: string, given: Positions, fed: FedSpan, first: number): boolean[] {
  const { end } = fed;
  const counted = (at: number): number => (at < 0 ? end + at : at);
  const known = Array.from({ length: end - first }, (_, index) => first + index);
  if (typeof given === 'object' && !('length' in given)) {
    const start = counted(given.start ?? 0);
    const stop = given.stop === undefined ? Infinity : counted(given.stop);
    if (start >= stop)
      throw new EditError(field, `the ${field} stretch is empty`, {
        got: `${given.start ?? 0} to ${given.stop ?? ''}`,
      });
    return known.map((at) => at >= start && at < stop);
  }
  const places = new Set<number>();
  for (const each of listed(given)) {
    const at = counted(each);
    if (at < 0 || (at >= end && fed.goesOn !== true))
      throw new EditError(field, `the text has no such ${field}`, {
        got: `${field} ${each}`,
        expected: `0 to ${end - 1}, or from -1 back: it has ${end} tokens`,
      });
    places.add(at);
  }
  return known.map((at) => places.has(at));
}

function maskOf(where: Where): ClosingTensor {
  const dims = where.map((axis) => axis?.length ?? 1);
  const data = new Uint8Array(elementCount(dims)).fill(1);
  for (const [axis, some] of where.entries()) {
    if (some === null) continue;
    const inner = elementCount(dims.slice(axis + 1));
    for (let at = 0; at < data.length; at++)
      if (some[Math.floor(at / inner) % some.length] !== true) data[at] = 0;
  }
  return { dims, data };
}

function tensorsOf(
  edit: Edit,
  axes: JointAxes,
  where: Where,
  fed: FedSpan,
): Readonly<Record<string, ClosingTensor>> {
  const numbers = numbersOf(edit);
  const rank = axes.names.length;
  const mask = maskOf(where);
  const all = Object.entries(numbers).map(([name, given]) => [name, raised(given, rank)] as const);
  const one = (name: string): number => numbers[name]?.data[0] ?? 0;
  const inPlace = (value: number, neutral: number): ClosingTensor => ({
    dims: mask.dims,
    data: Float32Array.from(mask.data, (isIn) => (isIn ? value : neutral)),
  });
  switch (edit.edit) {
    case 'scale':
      return { scale: inPlace(one('factor'), 1) };
    case 'add': {
      const fit = fitted(edit, 'vector', axes, where, fed);
      return { add: zipped(fit.value, fit.mask, (value, isIn) => (isIn ? value : 0)) };
    }
    case 'replace':
    case 'knock-out':
      return { ...fitted(edit, 'value', axes, where, fed) };
    case 'cap':
      return { ...Object.fromEntries(all), limit: inPlace(one('limit'), far) };
    case 'project-out':
    case 'swap':
      return { ...Object.fromEntries(all), amount: inPlace(one('amount'), 0) };
  }
}

/** Return numbers with as many dimensions as the joint has, 1 before their own. */
function raised({ dims, data }: EditNumbers, rank: number): ClosingTensor {
  return { dims: [...Array<number>(rank - dims.length).fill(1), ...dims], data };
}

/**
 * Return values for the tokens of this run, and where the edit acts of what they cover. Values of the joint's rank may be
 * of each token, counted from the text's first: then those that are edited need one; behind the last, a text that goes on
 * stays as it is.
 */
function fitted(
  edit: Edit,
  field: string,
  { names, sizes }: JointAxes,
  where: Where,
  fed: FedSpan,
): { readonly value: ClosingTensor; readonly mask: ClosingTensor } {
  const given = numbersOf(edit)[field] ?? { dims: [], data: new Float32Array() };
  let value = raised(given, names.length);
  const covered = [...where];
  for (const [axis, name] of names.entries()) {
    const have = value.dims[axis] ?? 1;
    if (typeof sizes[axis] === 'number' || name === 'batch_size' || have === 1) continue;
    const first = name === 'sequence_length' ? fed.start : 0;
    const wanted = Array.from({ length: fed.end - first }, (_, index) => first + index);
    const edited = covered[axis] ?? wanted.map(() => true);
    const lacks = wanted.some((at, index) => edited[index] === true && at >= have);
    const isSomewhere = covered.every((some) => some?.includes(true) ?? true);
    if (lacks && isSomewhere && fed.goesOn !== true)
      throw misfit(edit, field, given.dims, `values of ${fed.end} tokens, or one for all`);
    covered[axis] = wanted.map((at, index) => edited[index] === true && at < have);
    value = taken(value, axis, wanted);
  }
  return { value, mask: maskOf(covered) };
}

/** Return the tensor with these indices along an axis, the last one in place of those behind it. */
function taken(tensor: ClosingTensor, axis: number, wanted: readonly number[]): ClosingTensor {
  const { dims, data } = tensor;
  const size = dims[axis] ?? 1;
  const inner = elementCount(dims.slice(axis + 1));
  const outer = elementCount(dims.slice(0, axis));
  const result = new Float32Array(outer * wanted.length * inner);
  for (let block = 0; block < outer; block++)
    for (const [row, at] of wanted.entries()) {
      const from = (block * size + Math.min(at, size - 1)) * inner;
      result.set(data.subarray(from, from + inner), (block * wanted.length + row) * inner);
    }
  return { dims: dims.with(axis, wanted.length), data: result };
}
