// The contract's closings: the ways to close a joint of an open graph. bundle/onnx/closing_bytes.ts writes their nodes.
import contract from '../../../../contracts/activations.json' with { type: 'json' };
import type { ClosingName } from './generated';

/** A tensor that a closing takes. It broadcasts: each of its dimensions is 1 or the joint's. */
export interface ClosingInput {
  readonly name: string;
  readonly dtype: 'float32' | 'bool';
  /** The inputs of a closing change nothing where all have this value. */
  readonly neutral: number;
  /** Size of the last dimension, where the joint's is none of the choices. */
  readonly width?: number;
}

/** A node; `{in}`, `{out}` and `{at}` in its names stand for the joint's tensors and the place of the closing. */
export interface ClosingNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly int64s?: readonly number[];
  readonly floats?: readonly number[];
}

export interface ClosingEntry {
  readonly closing: ClosingName;
  /** It works along the last dimension, which must have a fixed size. */
  readonly direction?: boolean;
  readonly inputs: readonly ClosingInput[];
  readonly nodes: readonly ClosingNode[];
}

// The names were generated from this very file, and `npm run contract:check` keeps it so.
export const closingTable = contract.closings as readonly ClosingEntry[];

const entryByName = new Map<string, ClosingEntry>(
  closingTable.map((entry) => [entry.closing, entry]),
);

/** Return the closing's entry. Throws a RangeError for a name that the contract does not have. */
export function closingEntry(name: ClosingName): ClosingEntry {
  const entry = entryByName.get(name);
  if (entry === undefined) throw new RangeError(`no closing is called ${name}`);
  return entry;
}

/** Return the place of the closing at this index of a joint, with which all its own names begin. */
export function closingPlace(joint: string, index: number): string {
  return `${joint}/${index}`;
}

/** Return the name of a graph's input for a closing. */
export function closingInputName(joint: string, index: number, input: string): string {
  return `${closingPlace(joint, index)}/${input}`;
}

/** Return the tensor that the joint's producer writes. */
export function beforeJoint(joint: string): string {
  return `${joint}/pre`;
}
