// Writes the bytes that turn an inner tensor of a graph into an output, as a tap does: a ModelProto to append.
import { writeField, writeNumber, writeText } from '../../contract/wire_format';

/** Field numbers of onnx.proto. */
const modelGraph = 7;
const graphOutput = 12;
const inValue = { name: 1, type: 2 };
const inType = { tensor: 1 };
const inTensorType = { element: 1, shape: 2 };
const inShape = { dimension: 1 };
const float32 = 1;

/** Return the bytes for a float32 tensor of so many dimensions, whose sizes they leave open. */
export function outputBytes(name: string, rank: number): Uint8Array<ArrayBuffer> {
  const dimensions = Array.from({ length: rank }, () => writeField(inShape.dimension, [])).flat();
  const tensor = [
    ...writeNumber(inTensorType.element, float32),
    ...writeField(inTensorType.shape, dimensions),
  ];
  const value = [
    ...writeText(inValue.name, name),
    ...writeField(inValue.type, writeField(inType.tensor, tensor)),
  ];
  return Uint8Array.from(writeField(modelGraph, writeField(graphOutput, value)));
}
