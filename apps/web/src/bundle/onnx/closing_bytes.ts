// Writes closings, the nodes that close the joints of an open graph: a ModelProto to append, as taps are. Their templates
// are the contract's: contract/closing_table.ts.
import {
  beforeJoint,
  closingEntry,
  closingInputName,
  closingPlace,
  type ClosingInput,
  type ClosingNode,
} from '../../contract/closing_table';
import type { ClosingName, TensorSpec } from '../../contract/generated';
import { writeField, writeNumber, writeText } from '../../contract/wire_format';

/** Field numbers of onnx.proto. */
const modelGraph = 7;
const inGraph = { node: 1, input: 11 };
const inNode = { input: 1, output: 2, name: 3, operator: 4, attribute: 5 };
const inAttribute = { name: 1, tensor: 5, type: 20 };
const inTensor = { dims: 1, type: 2, raw: 9 };
const inValue = { name: 1, type: 2 };
const inType = { tensor: 1 };
const inTensorType = { element: 1, shape: 2 };
const inShape = { dimension: 1 };

/** Values of TensorProto.DataType, and of AttributeProto.AttributeType. */
const elementTypes = { float32: 1, int64: 7, bool: 9 };
const tensorAttribute = 4;

/** A joint and its closings, in the order in which they apply; without any, it is left as it is. */
export interface ClosedJoint {
  readonly joint: TensorSpec;
  readonly closings: readonly ClosingName[];
}

/** Return the bytes to append to an open graph: for each joint the nodes of its closings, and their inputs. */
export function closingBytes(joints: readonly ClosedJoint[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(writeField(modelGraph, joints.flatMap(closeJoint)));
}

function closeJoint({ joint, closings }: ClosedJoint): number[] {
  const names: readonly ClosingName[] = closings.length > 0 ? closings : ['identity'];
  return names.flatMap((closing, index) => {
    const { inputs, nodes } = closingEntry(closing);
    const at = closingPlace(joint.name, index);
    const given = {
      '{at}': at,
      '{in}': index === 0 ? beforeJoint(joint.name) : closingPlace(joint.name, index - 1),
      '{out}': index === names.length - 1 ? joint.name : at,
    };
    const fill = (name: string): string =>
      name.replace(/\{(?:at|in|out)\}/, (part) => given[part as keyof typeof given]);
    return [
      ...nodes.flatMap((node) => writeField(inGraph.node, nodeBytes(node, fill))),
      ...inputs.flatMap((input) => writeField(inGraph.input, inputBytes(joint, index, input))),
    ];
  });
}

function nodeBytes(node: ClosingNode, fill: (name: string) => string): number[] {
  const outputs = node.outputs.map(fill);
  return [
    ...node.inputs.flatMap((name) => writeText(inNode.input, fill(name))),
    ...outputs.flatMap((name) => writeText(inNode.output, name)),
    // Named after what it gives, as no two nodes give the same.
    ...writeText(inNode.name, outputs[0] ?? ''),
    ...writeText(inNode.operator, node.op),
    ...(node.int64s === undefined
      ? []
      : constant(elementTypes.int64, node.int64s.length, BigInt64Array.from(node.int64s, BigInt))),
    ...(node.floats === undefined
      ? []
      : constant(elementTypes.float32, node.floats.length, Float32Array.from(node.floats))),
  ];
}

/** Write the attribute `value` of a Constant, a tensor of one dimension. */
function constant(
  type: number,
  length: number,
  { buffer }: Float32Array | BigInt64Array,
): number[] {
  const tensor = [
    ...writeNumber(inTensor.dims, length),
    ...writeNumber(inTensor.type, type),
    ...writeField(inTensor.raw, [...new Uint8Array(buffer)]),
  ];
  return writeField(inNode.attribute, [
    ...writeText(inAttribute.name, 'value'),
    ...writeField(inAttribute.tensor, tensor),
    ...writeNumber(inAttribute.type, tensorAttribute),
  ]);
}

/** Write a graph's input of the joint's rank; its sizes are unknown, since each may be 1 or the joint's. */
function inputBytes({ name, shape }: TensorSpec, index: number, input: ClosingInput): number[] {
  const dimensions = shape.flatMap(() => writeField(inShape.dimension, []));
  const tensor = [
    ...writeNumber(inTensorType.element, elementTypes[input.dtype]),
    ...writeField(inTensorType.shape, dimensions),
  ];
  return [
    ...writeText(inValue.name, closingInputName(name, index, input.name)),
    ...writeField(inValue.type, writeField(inType.tensor, tensor)),
  ];
}
