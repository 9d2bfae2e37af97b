// Turns interventions into edits of joints for one run: which closing, at which joint, with which tensors. Those of one
// edit: place_edits.ts; which closings a session has: closing_slots.ts; what a graph is fed: graph_protocols.ts.
import {
  activationEntry,
  activationName,
  activationSpec,
  contractVersion,
  elementCount,
} from '../contract/activation_table';
import { closingTable, type ClosingInput } from '../contract/closing_table';
import type { ActivationKind, ClosingName, Dimension, ModelShape } from '../contract/generated';
import { checkEdit } from './check_edits';
import { mergedClosings, placeOf } from './edits';
import {
  closingAt,
  isEdit,
  orderedChanges,
  type Intervention,
  type Interventions,
  type JointClosing,
} from './interventions';
import {
  isEven,
  lengthsOf,
  type ClosingTensor,
  type FedSpan,
  type JointEdit,
  type Span,
} from './joint_edit';
import { checkKeysLeft, knockedOut, mergedEdits, placeEdit } from './place_edits';

type Tensors = JointEdit['tensors'];
type Place = Pick<JointEdit, 'joint' | 'layer' | 'closing'>;

/** Return the joints that interventions change, and their closings: the same for every run of them. */
export function closingsNeeded(interventions: Interventions): Place[] {
  return inClosings(interventions, 0).map(([first]) => placeAt(first));
}

/**
 * Return the edits of a run that feeds these positions. Throws a RangeError where a model of this shape, or this text,
 * has no place for the interventions, which the worker sends as an error of kind `run`.
 */
export function jointEdits(
  interventions: Interventions,
  shape: ModelShape,
  fed: FedSpan,
): JointEdit[] {
  checkInterventions(interventions, shape, lengthsOf(fed).length);
  const knocked = new Map<number, ClosingTensor>();
  const placed = (entry: Intervention): JointEdit => {
    if (!isEdit(entry)) {
      if (entry.positions !== null && !isEven(fed))
        throw new RangeError('a closing with positions takes texts of one length');
      return { ...placeAt(entry), tensors: closingTensors(entry, shape, fed) };
    }
    const edit = placeEdit(entry, shape, fed);
    if (entry.edit === 'knock-out') {
      const keys = knockedOut(knocked.get(edit.layer), edit);
      knocked.set(edit.layer, keys);
      checkKeysLeft(keys, fed);
    }
    return edit;
  };
  return inClosings(interventions, fed.end).map((entries) =>
    entries.map(placed).reduce(mergedEdits),
  );
}

/** Throw a RangeError for the first intervention that can't be applied to this many texts in a model of this shape. */
export function checkInterventions(
  interventions: Interventions,
  shape: ModelShape,
  texts = 1,
): void {
  for (const entry of interventions) {
    if (isEdit(entry)) checkEdit(entry, shape, texts);
    else {
      const detail = closingProblem(entry, shape);
      if (detail !== null) throw new RangeError(detail);
    }
  }
}

/** Keep the interventions that a model of this shape can apply. */
export function applicable(interventions: Interventions, shape: ModelShape): Interventions {
  return interventions.filter((entry) => {
    try {
      checkInterventions([entry], shape);
      return true;
    } catch (error) {
      if (error instanceof RangeError) return false;
      throw error;
    }
  });
}

/** Part interventions into those of one closing each: alike edits in a row at a joint are one. */
function inClosings(
  interventions: Interventions,
  tokens: number,
): [Intervention, ...Intervention[]][] {
  const result: [Intervention, ...Intervention[]][] = [];
  for (const entry of orderedChanges(interventions, tokens)) {
    const last = result.at(-1);
    if (last !== undefined && isOneWith(last[0], entry)) last.push(entry);
    else result.push([entry]);
  }
  return result;
}

/** Return whether two that follow each other are one closing. A closing with tensors of its own stays alone. */
function isOneWith(one: Intervention, other: Intervention): boolean {
  if (!isEdit(one) || !isEdit(other)) return false;
  const [a, b] = [placeAt(one), placeAt(other)];
  const isAlike = a.joint === b.joint && a.layer === b.layer && a.closing === b.closing;
  return isAlike && mergedClosings.has(a.closing);
}

function placeAt(entry: Intervention): Place {
  const { joint, layer } = isEdit(entry) ? placeOf(entry) : entry;
  return { joint, layer, closing: closingAt(entry) };
}

/** Fit a closing's tensors to the tokens that are fed, and to all tokens so far. */
function closingTensors(change: JointClosing, shape: ModelShape, fed: Span): Tensors {
  const { joint, layer, closing, positions, tensors } = change;
  const axes = axesOf(joint, layer, shape) ?? [];
  const queries = axes.indexOf('sequence_length');
  const keys = axes.indexOf('total_sequence_length');
  const given = inputsOf(closing).map((input) => ({ ...input, tensor: tensors[input.name] }));
  const count = Math.max(...given.map(({ tensor }) => tensor?.dims[keys] ?? 1), 1);
  return Object.fromEntries(
    given.flatMap(({ name, neutral, tensor }) => {
      if (tensor === undefined) return [];
      const atKeys =
        count === 1
          ? tensor
          : fitted(tensor, keys, { start: 0, end: count }, { start: 0, end: fed.end }, neutral);
      const atBoth = positions === null ? atKeys : fitted(atKeys, queries, positions, fed, neutral);
      return [[name, atBoth] as const];
    }),
  );
}

/** Return a tensor for the wanted part of an axis from one that covers the given part, neutral outside of it. */
function fitted(
  { dims, data }: ClosingTensor,
  axis: number,
  given: Span,
  wanted: Span,
  neutral: number,
): ClosingTensor {
  const size = dims[axis] ?? 1;
  const count = wanted.end - wanted.start;
  const outer = elementCount(dims.slice(0, axis));
  const inner = elementCount(dims.slice(axis + 1));
  const length = outer * count * inner;
  const result = data instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  result.fill(neutral);
  for (let block = 0; block < outer; block++) {
    for (let row = 0; row < count; row++) {
      const position = wanted.start + row;
      if (position < given.start || position >= given.end) continue;
      const source = (block * size + (size === 1 ? 0 : position - given.start)) * inner;
      result.set(data.subarray(source, source + inner), (block * count + row) * inner);
    }
  }
  return { dims: dims.with(axis, count), data: result };
}

function closingProblem(
  { joint, layer, closing, positions, tensors }: JointClosing,
  shape: ModelShape,
): string | null {
  if (!isIndex(layer, shape.layers)) return `no layer ${layer}`;
  const axes = axesOf(joint, layer, shape);
  if (axes === null) return `${joint} is no joint of this model`;
  const entry = closingTable.find((one) => one.closing === closing);
  if (entry === undefined) return `no closing is called ${closing}`;
  if (entry.direction === true && typeof axes.at(-1) !== 'number')
    return `${joint} has no fixed last dimension for ${closing} to work along`;
  if (positions !== null) {
    const { start, end } = positions;
    const isSpan = isIndex(start, shape.context_length) && Number.isInteger(end) && end > start;
    if (!isSpan || end > shape.context_length) return `no tokens ${start} to ${end}`;
  }
  const names = new Set(entry.inputs.map(({ name }) => name));
  const other = Object.keys(tensors).find((name) => !names.has(name));
  if (other !== undefined) return `${closing} takes no ${other}`;
  for (const input of entry.inputs) {
    const problem = tensorProblem(tensors[input.name], input, axes, positions);
    if (problem !== null) return `${input.name} of ${closing} at ${joint}: ${problem}`;
  }
  return null;
}

function tensorProblem(
  tensor: ClosingTensor | undefined,
  { dtype, width }: ClosingInput,
  axes: readonly Dimension[],
  positions: Span | null,
): string | null {
  if (tensor === undefined) return 'it is missing';
  const { dims, data } = tensor;
  const tokens = positions === null ? 1 : positions.end - positions.start;
  const fits =
    dims.length === axes.length &&
    dims.every((size, axis) => {
      const isLast = axis === axes.length - 1;
      if (isLast && width !== undefined) return size === width;
      const own = axes[axis];
      if (own === 'total_sequence_length') return Number.isInteger(size) && size > 0;
      return size === 1 || size === (own === 'sequence_length' ? tokens : own);
    });
  if (!fits) return `it is of shape ${dims.join(' × ')}`;
  if (data.length !== elementCount(dims)) return `it has ${data.length} numbers`;
  if (dtype === 'bool')
    return data instanceof Uint8Array && data.every((value) => value <= 1)
      ? null
      : 'it is no mask of 0 and 1';
  return data instanceof Float32Array && isFinite32(data) ? null : 'it is not finite float32';
}

function inputsOf(closing: ClosingName): readonly ClosingInput[] {
  return closingTable.find((entry) => entry.closing === closing)?.inputs ?? [];
}

/** Return the dimensions of a joint; null where the model has no such joint. */
function axesOf(
  joint: ActivationKind,
  layer: number,
  shape: ModelShape,
): readonly Dimension[] | null {
  const { joint: isJoint, per_layer } = activationEntry(joint);
  if (isJoint !== true || !per_layer) return null;
  return activationSpec(activationName(joint, layer), shape, contractVersion)?.shape ?? null;
}

function isFinite32(values: readonly number[] | Float32Array): boolean {
  return Array.from(values, Math.fround).every(Number.isFinite);
}

function isIndex(value: number, count: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < count;
}
