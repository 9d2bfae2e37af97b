// Turns an edit into a closing of its joint for one run: with which tensors. Several of a run: joint_edits.ts. Throws an
// EditError for an edit that this model or this text has no place for.
import { elementCount } from '../contract/activation_table';
import type { ModelShape } from '../contract/generated';
import { both, either, indices, zipped } from './broadcast';
import { checkEdit, isHeadAxis, listed, misfit, type JointAxes } from './check_edits';
import {
  closingOf,
  EditError,
  numbersOf,
  placeOf,
  type ClampEdit,
  type Edit,
  type EditNumbers,
  type Places,
  type Positions,
} from './edits';
import { isEven, lengthsOf, type ClosingTensor, type FedSpan, type JointEdit } from './joint_edit';

/** A row of booleans for each text of a batch, or one row for all texts. */
type Rows = readonly (readonly boolean[])[];

/** A limit that no component reaches. */
const far = Math.fround(3e38);

/** Return the closing of an edit in a run that feeds these tokens. */
export function placeEdit(edit: Edit, shape: ModelShape, fed: FedSpan): JointEdit {
  const axes = checkEdit(edit, shape, lengthsOf(fed).length);
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
  const merged = (name: string, change: (a: number, b: number) => number): ClosingTensor =>
    zipped(tensorAt(first, name), tensorAt(second, name), change);
  if (one.closing === 'scale')
    return { ...one, tensors: { scale: merged('scale', (a, b) => a * b) } };
  if (one.closing === 'add') return { ...one, tensors: { add: merged('add', (a, b) => a + b) } };
  const [before, after] = [tensorAt(first, 'value'), tensorAt(second, 'value')];
  const mask = tensorAt(second, 'mask');
  const eitherMask = either(tensorAt(first, 'mask'), mask);
  // A sweep inserts the same values at each place: they stay one tensor, whatever the number of places.
  if (before.data === after.data && before.dims.every((size, axis) => size === after.dims[axis]))
    return { ...one, tensors: { value: after, mask: eitherMask } };
  const kept = zipped(before, mask, (value, isOver) => (isOver ? 0 : value));
  const over = zipped(after, mask, (value, isOver) => (isOver ? value : 0));
  return { ...one, tensors: { value: zipped(kept, over, (a, b) => a + b), mask: eitherMask } };
}

/** The keys that knock-outs of one layer take away, a mask of the scores' rank. */
export function knockedOut(before: ClosingTensor | undefined, placed: JointEdit): ClosingTensor {
  const mask = tensorAt(placed.tensors, 'mask');
  return before === undefined ? mask : either(before, mask);
}

/** Refuse to take every key from a query: its softmax would share out over tokens to come. */
export function checkKeysLeft({ dims, data }: ClosingTensor, fed: FedSpan): void {
  const { start, end } = fed;
  const [heads = 1] = dims.slice(1);
  const lengths = lengthsOf(fed);
  const at = indices(dims, [lengths.length, heads, end - start, end]);
  for (const [text, length] of lengths.entries()) {
    const padding = end - length;
    for (let head = 0; head < heads; head++)
      for (let query = Math.max(start, padding); query < end; query++) {
        const row = ((text * heads + head) * (end - start) + query - start) * end;
        let isBlind = true;
        for (let key = padding; key <= query && isBlind; key++)
          isBlind = data[at[row + key] ?? 0] === 1;
        if (isBlind)
          throw new EditError('query', 'knock-out leaves a query no key to look at', {
            got: `query ${query - padding}${lengths.length > 1 ? ` of row ${text}` : ''}`,
            expected: 'one key at least that it still sees',
          });
      }
  }
}

function tensorAt(tensors: JointEdit['tensors'], name: string): ClosingTensor {
  const tensor = tensors[name];
  if (tensor === undefined) throw new RangeError(`a closing without ${name}`);
  return tensor;
}

/** Return a mask of the places that an edit changes: of the joint's rank, each dimension 1 or the joint's. */
function whereOf(edit: Edit, { names, sizes }: JointAxes, fed: FedSpan): ClosingTensor {
  const { head, neuron, position, key, row } = placeOf(edit);
  const rank = names.length;
  let where: ClosingTensor = along([[true]], 0, rank);
  for (const [axis, name] of names.entries()) {
    const size = Number(sizes[axis]);
    let rows: Rows | null = null;
    if (name === 'batch_size')
      rows = row === undefined ? null : chosen(row, lengthsOf(fed).length)[0].map((is) => [is]);
    else if (isHeadAxis(name)) rows = head === undefined ? null : chosen(head, size);
    else if (name === 'sequence_length') {
      const field = edit.edit === 'knock-out' ? 'query' : 'position';
      rows = position === undefined ? null : atPositions(field, position, fed, fed.start);
    } else if (name === 'total_sequence_length')
      rows = key === undefined ? null : atPositions('key', key, fed, 0);
    else if (axis === rank - 1) rows = neuron === undefined ? null : chosen(neuron, size);
    if (rows !== null) where = both(where, along(rows, axis, rank));
  }
  return where;
}

/** Shape rows as a mask of this rank, along the batch and one other axis, which may be the batch itself. */
function along(rows: Rows, axis: number, rank: number): ClosingTensor {
  const dims = Array<number>(rank).fill(1);
  dims[axis] = rows[0]?.length ?? 0;
  dims[0] = rows.length;
  return { dims, data: Uint8Array.from(rows.flat(), Number) };
}

function chosen(given: Places, count: number): [boolean[]] {
  const places = new Set(listed(given));
  return [Array.from({ length: count }, (_, at) => places.has(at))];
}

/**
 * Return which of the tokens from `first` to the last one fed are selected: a row for each text, counted from its own
 * first token, or one row if all texts have the same length.
 */
function atPositions(field: string, given: Positions, fed: FedSpan, first: number): Rows {
  const lengths = lengthsOf(fed);
  const own = isEven(fed) ? lengths.slice(0, 1) : lengths;
  return own.map((length) => {
    const isGiven = positionsIn(field, given, { ...fed, end: length });
    const padding = fed.end - length;
    return Array.from({ length: fed.end - first }, (_, index) => {
      const at = first + index - padding;
      return at >= 0 && isGiven(at);
    });
  });
}

/** Return a predicate of positions in a text of `end` tokens. */
function positionsIn(
  field: string,
  given: Positions,
  { end, goesOn }: FedSpan,
): (at: number) => boolean {
  const counted = (at: number): number => (at < 0 ? end + at : at);
  if (typeof given === 'object' && !('length' in given)) {
    const start = counted(given.start ?? 0);
    const stop = given.stop === undefined ? Infinity : counted(given.stop);
    if (start >= stop)
      throw new EditError(field, `the ${field} stretch is empty`, {
        got: `${given.start ?? 0} to ${given.stop ?? ''}`,
      });
    return (at) => at >= start && at < stop;
  }
  const places = new Set<number>();
  for (const each of listed(given)) {
    const at = counted(each);
    if (at < 0 || (at >= end && goesOn !== true))
      throw new EditError(field, `the text has no such ${field}`, {
        got: `${field} ${each}`,
        expected: `0 to ${end - 1}, or from -1 back: it has ${end} tokens`,
      });
    places.add(at);
  }
  return (at) => places.has(at);
}

function tensorsOf(
  edit: Edit,
  axes: JointAxes,
  mask: ClosingTensor,
  fed: FedSpan,
): Readonly<Record<string, ClosingTensor>> {
  const numbers = numbersOf(edit);
  const rank = axes.names.length;
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
      const fit = fitted(edit, 'vector', axes, mask, fed);
      return { add: zipped(fit.value, fit.mask, (value, isIn) => (isIn ? value : 0)) };
    }
    case 'replace':
    case 'knock-out':
      return { ...fitted(edit, 'value', axes, mask, fed) };
    case 'cap':
      return { ...Object.fromEntries(all), limit: inPlace(one('limit'), far) };
    case 'clamp': {
      const ofFeature = ([name, given]: readonly [string, EditNumbers]) =>
        [name, given.dims.length === 0 ? raised(given, rank) : ofToken(given, edit, axes)] as const;
      const tensors = Object.fromEntries(Object.entries(numbers).map(ofFeature));
      return { ...tensors, amount: inPlace(1, 0) };
    }
    case 'project-out':
    case 'swap':
      return { ...Object.fromEntries(all), amount: inPlace(one('amount'), 0) };
  }
}

/** Return the numbers of all heads of a token in the joint's rank; where the edit names one head, 0 at the others. */
function ofToken(
  { data }: EditNumbers,
  { head }: ClampEdit,
  { names, sizes }: JointAxes,
): ClosingTensor {
  const width = Number(sizes.at(-1));
  const dims = names.map((name, axis) => {
    if (axis === names.length - 1) return width;
    return isHeadAxis(name) ? Number(sizes[axis]) : 1;
  });
  if (head === undefined) return { dims, data };
  const spread = new Float32Array(elementCount(dims));
  spread.set(data, head * width);
  return { dims, data: spread };
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
  where: ClosingTensor,
  fed: FedSpan,
): { readonly value: ClosingTensor; readonly mask: ClosingTensor } {
  const given = numbersOf(edit)[field] ?? { dims: [], data: new Float32Array() };
  let [value, mask] = [raised(given, names.length), where];
  for (const [axis, name] of names.entries()) {
    const have = value.dims[axis] ?? 1;
    if (typeof sizes[axis] === 'number' || name === 'batch_size' || have === 1) continue;
    if (!isEven(fed))
      throw new EditError(field, `${field} of ${edit.edit} has values for each token`, {
        got: 'texts of unequal lengths',
        expected: 'texts of one length, or one text',
      });
    const first = name === 'sequence_length' ? fed.start : 0;
    const wanted = Array.from({ length: fed.end - first }, (_, index) => first + index);
    const covered = along([wanted.map((at) => at < have)], axis, names.length);
    const lacks = zipped(mask, covered, (isIn, isThere) => Number(isIn !== 0 && isThere === 0));
    if (fed.goesOn !== true && lacks.data.includes(1))
      throw misfit(edit, field, given.dims, `values of ${fed.end} tokens, or one for all`);
    if (wanted.at(-1) !== have - 1 || first > 0) {
      mask = both(mask, covered);
      value = taken(value, axis, wanted);
    }
  }
  return { value, mask };
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
