// Turns interventions into edits of joints for one run: which closing, at which joint, with which tensors. Which closings a
// session has: closing_slots.ts; what a graph is fed: graph_protocols.ts.
import {
  activationEntry,
  activationName,
  activationSpec,
  contractVersion,
  elementCount,
  layerShape,
} from '../contract/activation_table';
import { closingTable, type ClosingInput } from '../contract/closing_table';
import type { ActivationKind, ClosingName, Dimension, ModelShape } from '../contract/generated';
import {
  changesOf,
  combinedKinds,
  type Change,
  type ClosingTensor,
  type CombinedChange,
  type Intervention,
  type Interventions,
  type JointClosing,
  type Span,
} from './interventions';

/** A closing of one joint; those of one joint apply in their order. */
export interface JointEdit {
  readonly joint: ActivationKind;
  readonly layer: number;
  readonly closing: ClosingName;
  /** By the names of the closing's inputs, fitted to the tokens of a run. */
  readonly tensors: Readonly<Record<string, ClosingTensor>>;
}

type Tensors = JointEdit['tensors'];

/** Scales and deltas as closings. */
const combinedEdits = {
  'head-scale': { joint: 'attn_z', closing: 'scale' },
  'residual-delta': { joint: 'resid_post', closing: 'add' },
} as const satisfies Record<CombinedChange['kind'], Pick<JointEdit, 'joint' | 'closing'>>;

/** Return the joints that interventions change, and their closings: the same for every run of them. */
export function closingsNeeded(
  interventions: Interventions,
): Pick<JointEdit, 'joint' | 'layer' | 'closing'>[] {
  return inPlaces(changesOf(interventions)).map(({ joint, layer, closing }) => ({
    joint,
    layer,
    closing,
  }));
}

/**
 * Return the edits of a run that feeds these positions. Throws a RangeError where a model of this shape cannot apply the
 * interventions, which the worker sends as an error of kind `run`.
 */
export function jointEdits(
  interventions: Interventions,
  shape: ModelShape,
  fed: Span,
): JointEdit[] {
  checkInterventions(interventions, shape);
  return inPlaces(changesOf(interventions)).map(({ joint, layer, closing, changes }) => ({
    ...{ joint, layer, closing },
    tensors: tensorsOf(changes, shape, fed),
  }));
}

/** Throw a RangeError for the first intervention that a model of this shape cannot apply. */
export function checkInterventions(interventions: Interventions, shape: ModelShape): void {
  for (const entry of interventions) {
    const detail = problemOf(entry, shape);
    if (detail !== null) throw new RangeError(detail);
  }
}

/** Keep the interventions that a model of this shape can apply. */
export function applicable(interventions: Interventions, shape: ModelShape): Interventions {
  return interventions.filter((entry) => problemOf(entry, shape) === null);
}

/** The changes that become one edit: a closing, or all scales or deltas of a layer. */
interface Place extends Pick<JointEdit, 'joint' | 'layer' | 'closing'> {
  readonly changes: JointClosing | readonly CombinedChange[];
}

function inPlaces(changes: readonly Change[]): Place[] {
  const places = new Map<string, Place & { readonly changes: CombinedChange[] }>();
  const closings: Place[] = [];
  for (const change of changes) {
    if (change.kind === 'closing') {
      closings.push({ ...change, changes: change });
      continue;
    }
    const { kind, layer } = change;
    const place = places.get(`${kind} ${layer}`) ?? { ...combinedEdits[kind], layer, changes: [] };
    places.set(`${kind} ${layer}`, place);
    place.changes.push(change);
  }
  return [...places.values(), ...closings];
}

function tensorsOf(changes: Place['changes'], shape: ModelShape, fed: Span): Tensors {
  if ('closing' in changes) return closingTensors(changes, shape, fed);
  const [first] = changes;
  if (first === undefined) throw new RangeError('no changes to combine');
  const { heads } = layerShape(shape, first.layer);
  return first.kind === 'head-scale'
    ? { scale: rowsOf(changes, { start: 0, end: heads }, 1, [1, heads, 1, 1]) }
    : { add: deltaOf(changes, shape, fed) };
}

function deltaOf(
  changes: readonly CombinedChange[],
  { hidden }: ModelShape,
  fed: Span,
): ClosingTensor {
  // One row serves all tokens where none has a change of its own.
  const isSame = changes.every(({ index }) => index === null);
  const rows = isSame ? { start: 0, end: 1 } : fed;
  return rowsOf(changes, rows, hidden, [1, rows.end - rows.start, hidden]);
}

/** Make a tensor of one row for each head or position of a span; rows of earlier positions are in the cache. */
function rowsOf(
  changes: readonly CombinedChange[],
  { start, end }: Span,
  width: number,
  dims: readonly number[],
): ClosingTensor {
  const kind = changes[0]?.kind ?? 'residual-delta';
  const { combine, neutral } = combinedKinds[kind];
  const data = new Float32Array((end - start) * width).fill(neutral);
  for (const { index, values } of changes) {
    for (let row = 0; row < end - start; row++) {
      if (index !== null && index !== start + row) continue;
      for (const [column, value] of values.entries()) {
        const at = row * width + column;
        data[at] = combine(data[at] ?? 0, value);
      }
    }
  }
  return { dims, data };
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

function problemOf(entry: Intervention, shape: ModelShape): string | null {
  if (!isIndex(entry.layer, shape.layers)) return `no layer ${entry.layer}`;
  switch (entry.kind) {
    case 'head-scale':
      if (!isFinite32([entry.scale])) return 'a head-scale that is not a finite float32';
      return isIndex(entry.head, layerShape(shape, entry.layer).heads)
        ? null
        : `no head ${entry.head} in layer ${entry.layer}`;
    case 'residual-delta': {
      const { delta, position } = entry;
      if (!isFinite32(delta)) return 'a residual-delta that is not a finite float32';
      if (delta.length !== shape.hidden)
        return `a delta of ${delta.length} numbers, not ${shape.hidden}`;
      return position === null || isIndex(position, shape.context_length)
        ? null
        : `no token ${position}`;
    }
    case 'closing':
      return closingProblem(entry, shape);
  }
}

function closingProblem(
  { joint, layer, closing, positions, tensors }: JointClosing,
  shape: ModelShape,
): string | null {
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
