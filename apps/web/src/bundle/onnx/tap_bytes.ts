// Makes the tap of a tensor that a graph computes under its contract name: a ModelProto that holds only graph.output.
// inference/taps.ts opens taps; taps with nodes of their own come only from a manifest.
import type { TensorSpec } from '../../contract/generated';
import { writeField, writeNumber, writeText } from '../../contract/wire_format';

/** Field numbers of onnx.proto. */
const modelGraph = 7;
const graphOutput = 12;
const valueName = 1;
const valueType = 2;
const typeTensor = 1;
const tensorElement = 1;
const tensorShape = 2;
const shapeDimension = 1;
const dimensionSize = 1;
const dimensionName = 2;

const elementTypes = { float32: 1, int64: 7 };

/** Return a tap in base64, as in a manifest. */
export function outputTap({ name, dtype, shape }: TensorSpec): string {
  const dimensions = shape.flatMap((size) =>
    writeField(
      shapeDimension,
      typeof size === 'number' ? writeNumber(dimensionSize, size) : writeText(dimensionName, size),
    ),
  );
  const tensor = [
    ...writeNumber(tensorElement, elementTypes[dtype]),
    ...writeField(tensorShape, dimensions),
  ];
  const value = [
    ...writeText(valueName, name),
    ...writeField(valueType, writeField(typeTensor, tensor)),
  ];
  const model = writeField(modelGraph, writeField(graphOutput, value));
  return btoa(String.fromCharCode(...model));
}
