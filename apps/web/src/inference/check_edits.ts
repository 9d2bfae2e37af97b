// Checks what can be checked of an edit before there is a text: that a model of this shape has its joint, heads,
// neurons and width. Throws an EditError with the field at fault. place_edits.ts says the rest.
import {
  activationEntry,
  activationName,
  activationSpec,
  activationTable,
  contractVersion,
} from '../contract/activation_table';
import { closingEntry } from '../contract/closing_table';
import type { Dimension, ModelShape } from '../contract/generated';
import {
  closingOf,
  EditError,
  numberFields,
  numbersOf,
  placeOf,
  type ClampEdit,
  type Edit,
  type EditNumbers,
  type Places,
  type Positions,
} from './edits';

/** The dimensions of the joint that an edit is of. */
export interface JointAxes {
  /** By their names in the contract. */
  readonly names: readonly string[];
  /** Numbers, but for those of a run. */
  readonly sizes: readonly Dimension[];
}

const headAxes: ReadonlySet<string> = new Set(['heads', 'kv_heads']);

/** Return whether an edit works along a direction of the joint's last dimension. */
function isAlongDirection({ edit }: Edit): boolean {
  return closingEntry(closingOf[edit]).direction === true;
}

export function isHeadAxis(name: string | undefined): boolean {
  return name !== undefined && headAxes.has(name);
}

/** Check an edit of a batch with this many texts, and return the dimensions of its joint. */
export function checkEdit(edit: Edit, shape: ModelShape, texts = 1): JointAxes {
  const axes = axesOf(edit, shape);
  const { joint, layer, head, neuron, key, row, position } = placeOf(edit);
  const hasKeys = axes.names.includes('total_sequence_length');
  const isDirected = isAlongDirection(edit);
  const width = axes.sizes.at(-1);
  if (head !== undefined) {
    const at = axes.names.findIndex(isHeadAxis);
    if (at < 0) throw new EditError('head', `${joint} has no heads`, { got: `head ${said(head)}` });
    checkPlaces('head', head, Number(axes.sizes[at]), `layer ${layer}`);
  }
  if (key !== undefined && !hasKeys)
    throw new EditError('key', `${joint} has no keys`, {
      expected: 'attn_scores or attn_probs, or position',
    });
  if (neuron !== undefined) {
    if (hasKeys || isDirected)
      throw new EditError('neuron', `${edit.edit} at ${joint} takes no neuron`, {
        got: `neuron ${said(neuron)}`,
      });
    checkPlaces('neuron', neuron, Number(width), `${joint} of layer ${layer}`);
  }
  if (edit.edit === 'clamp' && typeof head === 'object')
    throw new EditError('head', 'clamp takes one head, or none for all', { got: said(head) });
  if (isDirected && typeof width !== 'number')
    throw new EditError('joint', `${joint} has no direction`, {
      got: edit.edit,
      expected: 'a joint of fixed width',
    });
  if (row !== undefined) checkPlaces('row', row, texts, 'the batch');
  checkContext(edit.edit === 'knock-out' ? 'query' : 'position', position, shape);
  checkContext('key', key, shape);
  for (const [field, numbers] of Object.entries(numbersOf(edit)))
    checkWidth(edit, field, numbers, { ...axes, texts });
  return axes;
}

function axesOf(edit: Edit, shape: ModelShape): JointAxes {
  const { joint, layer } = placeOf(edit);
  const entry = activationTable.find(({ kind }) => kind === joint);
  if (entry?.joint !== true) {
    const known = activationTable.filter((each) => each.joint === true).map(({ kind }) => kind);
    throw new EditError('joint', 'there is no such joint', {
      got: joint,
      expected: `one of ${known.join(', ')}`,
    });
  }
  checkPlaces('layer', layer, shape.layers, 'the model');
  const name = activationName(joint, layer);
  const spec = activationSpec(name, shape, contractVersion);
  if (spec === null)
    throw new EditError('joint', `this model has no joint ${joint}`, { got: name });
  return { names: activationEntry(joint).shape, sizes: spec.shape };
}

function checkPlaces(field: string, given: Places, count: number, owner: string): void {
  const bad = listed(given).find((at) => !Number.isInteger(at) || at < 0 || at >= count);
  if (bad !== undefined)
    throw new EditError(field, `${owner} has no such ${field}`, {
      got: `${field} ${String(bad)}`,
      expected: `0 to ${count - 1}`,
    });
}

/** Check that positions are whole numbers that a text of this model can have. */
function checkContext(field: string, given: Positions | undefined, shape: ModelShape): void {
  if (given === undefined) return;
  const isStretch = typeof given === 'object' && !('length' in given);
  const all = isStretch ? [given.start ?? 0, given.stop ?? 0] : listed(given);
  for (const at of all) {
    if (!Number.isInteger(at))
      throw new EditError(field, `a ${field} is a whole number`, { got: String(at) });
    const limit = shape.context_length;
    if (!isStretch && (at >= limit || at < -limit))
      throw new EditError(field, `the model reads no such ${field}`, {
        got: `${field} ${at}`,
        expected: `less than its ${limit} tokens`,
      });
  }
}

function checkWidth(
  edit: Edit,
  field: string,
  { dims }: EditNumbers,
  { names, sizes, texts }: JointAxes & { readonly texts: number },
): void {
  const width = sizes.at(-1);
  const rank = sizes.length;
  const isDirection = isAlongDirection(edit) && !numberFields.has(field);
  if (edit.edit === 'clamp' && isDirection) {
    const count = countOfFeature(edit, { names, sizes });
    if (dims.length !== 1 || dims[0] !== count) throw misfit(edit, field, dims, `${count} numbers`);
    return;
  }
  const fits = isDirection
    ? dims.length === 1 && dims[0] === width
    : dims.length === 0 ||
      (dims.length === 1 && rank > 1 && (dims[0] === 1 || dims[0] === width)) ||
      (dims.length === rank &&
        dims.every((size, axis) => {
          const own = sizes[axis];
          if (names[axis] === 'batch_size') return size === 1 || size === texts;
          return typeof own !== 'number' || size === 1 || size === own;
        }));
  if (fits) return;
  throw misfit(edit, field, dims, typeof width === 'number' ? `${width} numbers` : 'one number');
}

/** Return how many numbers a feature reads and writes: those of a token, or of its one head that is named. */
function countOfFeature({ head }: ClampEdit, { names, sizes }: JointAxes): number {
  const width = Number(sizes.at(-1));
  const at = names.findIndex(isHeadAxis);
  return at < 0 || head !== undefined ? width : width * Number(sizes[at]);
}

export function misfit(
  edit: Edit,
  field: string,
  dims: readonly number[],
  expected: string,
): EditError {
  const { joint, layer } = placeOf(edit);
  const what = `${field} of ${edit.edit} doesn't fit ${activationName(joint, layer)}`;
  return new EditError(field, what, { got: dims.join(' × '), expected });
}

export function listed(given: Places): readonly number[] {
  return typeof given === 'number' ? [given] : given;
}

function said(given: Places): string {
  return listed(given).join(', ');
}
