// The few messages of onnx.proto that tests read and write, by protobuf.js: another reader than the page's own.
import protobuf from 'protobufjs';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Dimension { int64 dim_value = 1; string dim_param = 2; }
  message Shape { repeated Dimension dim = 1; }
  message TensorType { int32 elem_type = 1; Shape shape = 2; }
  message Type { TensorType tensor_type = 1; }
  message Value { string name = 1; Type type = 2; }
  message Tensor { repeated int64 dims = 1 [packed=false]; int32 data_type = 2; bytes raw_data = 9; }
  message Attribute { string name = 1; Tensor t = 5; int32 type = 20; }
  message Node {
    repeated string input = 1; repeated string output = 2; string name = 3; string op_type = 4;
    repeated Attribute attribute = 5;
  }
  message Graph {
    repeated Node node = 1; string name = 2; repeated Tensor initializer = 5;
    repeated Value input = 11; repeated Value output = 12;
  }
  message Opset { string domain = 1; int64 version = 2; }
  message Entry { string key = 1; string value = 2; }
  message Model {
    int64 ir_version = 1; string producer_name = 2; Graph graph = 7; repeated Opset opset_import = 8;
    repeated Entry metadata_props = 14;
  }
`);

export interface OnnxValue {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly object[] };
    };
  };
}

export interface OnnxNode {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly name: string;
  readonly opType: string;
}

export interface OnnxGraph {
  readonly name: string;
  readonly node: readonly OnnxNode[];
  readonly input: readonly OnnxValue[];
  readonly output: readonly OnnxValue[];
}

export interface OnnxFile {
  readonly graph: OnnxGraph;
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
}

const model = root.lookupType('Model');

/** Read a model as protobuf.js does: of two graphs in one file, the second takes the first one's place. */
export function readOnnx(bytes: Uint8Array): OnnxFile {
  return model.toObject(model.decode(bytes), { arrays: true, defaults: true }) as OnnxFile;
}

export function writeOnnx(content: object): Uint8Array<ArrayBuffer> {
  return new Uint8Array(model.encode(model.fromObject(content)).finish());
}

/** Describe a float32 input or output. */
export function floatValue(name: string, dims: readonly (number | string)[]): object {
  const dim = dims.map((size) =>
    typeof size === 'number' ? { dimValue: size } : { dimParam: size },
  );
  return { name, type: { tensorType: { elemType: 1, shape: { dim } } } };
}
