// Reads an ONNX file's metadata, inputs, outputs and positions of weights. bare_model.ts makes a model of them;
// wire_format.ts reads the bytes. Files are untrusted: reading returns a model or throws a BundleError.
import { BundleError } from '../bundle_error';
import { fields, messages, packedVarints, WireError, type Field } from '../../contract/wire_format';

/** Position of an initializer outside the file. */
export interface ExternalWeight {
  readonly location: string;
  readonly offset: number;
  readonly bytes: number;
}

export interface OnnxModel {
  /** Version of the standard operators. */
  readonly opset: number;
  readonly producer: string;
  /** The first value of each key. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Names of the tensors that nodes output. */
  readonly tensors: ReadonlySet<string>;
  readonly operators: ReadonlySet<string>;
  readonly external: readonly ExternalWeight[];
  /** Number of values in all initializers except those of integers, which hold shapes or packed weights. */
  readonly parameters: number;
  /** Number of parameters in float16. */
  readonly halves: number;
}

/** Field numbers of onnx.proto. */
const inModel = { opset: 8, producer: 2, graph: 7, metadata: 14 };
const inGraph = { node: 1, initializer: 5, input: 11, output: 12 };
const inNode = { output: 2, operator: 4 };
const inTensor = { dims: 1, type: 2, external: 13, location: 14 };
/** Field numbers of OperatorSetIdProto and of StringStringEntryProto. */
const inOpset = { domain: 1, version: 2 };
const inEntry = { key: 1, value: 2 };
/** Field number of the name in ValueInfoProto. */
const nameOfPort = 1;

/** Bits of one value of each TensorProto.DataType. */
const bitsOfType: ReadonlyMap<number, number> = new Map([
  ...[1, 6, 12].map((type) => [type, 32] as const),
  ...[2, 3, 9, 17, 18, 19, 20].map((type) => [type, 8] as const),
  ...[4, 5, 10, 16].map((type) => [type, 16] as const),
  ...[7, 11, 13, 14].map((type) => [type, 64] as const),
  ...[21, 22, 23].map((type) => [type, 4] as const),
]);
const floatTypes = new Set([1, 10, 11, 16]);
const float16 = 10;

const limits = {
  nodes: 1_000_000,
  tensors: 2_000_000,
  initializers: 200_000,
  ports: 20_000,
  entries: 4_096,
  dims: 64,
};
const maxNameBytes = 1_024;
/** Maximum bytes of a metadata value; any document of the contract is far smaller. */
const maxMetadataBytes = 16 * 2 ** 20;

/** Read an ONNX file. Throws a BundleError of kind `not-a-model`; `path` is the file's name in messages. */
export function readOnnxModel(bytes: Uint8Array<ArrayBuffer>, path: string): OnnxModel {
  try {
    return readModel(bytes);
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    const got = looksLikeText(bytes) ? 'text' : cause.message;
    throw new BundleError({ kind: 'not-a-model', path, reason: 'damaged', got }, { cause });
  }
}

function readModel(bytes: Uint8Array<ArrayBuffer>): OnnxModel {
  const model = new Reading();
  for (const field of fields(bytes)) {
    const { number, bytes: inside } = field;
    if (inside === null) continue;
    if (number === inModel.graph) model.addGraph(inside);
    else if (number === inModel.metadata) model.addMetadata(inside);
    else if (number === inModel.opset) model.addOpset(inside);
    else if (number === inModel.producer) model.producer = text(inside);
  }
  if (model.graphs === 0) throw new WireError('it holds no graph');
  return model;
}

class Reading implements OnnxModel {
  opset = 0;
  producer = '';
  graphs = 0;
  nodes = 0;
  initializers = 0;
  parameters = 0;
  halves = 0;
  readonly metadata = new Map<string, string>();
  readonly inputs: string[] = [];
  readonly outputs: string[] = [];
  readonly tensors = new Set<string>();
  readonly operators = new Set<string>();
  readonly external: ExternalWeight[] = [];

  /** Add one part of the graph: Protocol Buffers merge a message that occurs several times, as with appended taps. */
  addGraph(bytes: Uint8Array<ArrayBuffer>): void {
    this.graphs++;
    for (const { number, bytes: inside } of fields(bytes)) {
      if (inside === null) continue;
      if (number === inGraph.node) this.addNode(inside);
      else if (number === inGraph.initializer) this.addInitializer(inside);
      else if (number === inGraph.input) this.addPort(this.inputs, inside);
      else if (number === inGraph.output) this.addPort(this.outputs, inside);
    }
  }

  addNode(bytes: Uint8Array<ArrayBuffer>): void {
    atMost('nodes', ++this.nodes);
    for (const { number, bytes: inside } of fields(bytes)) {
      if (inside === null) continue;
      if (number === inNode.output) this.tensors.add(text(inside));
      else if (number === inNode.operator) this.operators.add(text(inside));
    }
    atMost('tensors', this.tensors.size);
  }

  addPort(ports: string[], bytes: Uint8Array<ArrayBuffer>): void {
    for (const name of messages(bytes, nameOfPort)) ports.push(text(name));
    atMost('ports', ports.length);
  }

  addInitializer(bytes: Uint8Array<ArrayBuffer>): void {
    atMost('initializers', ++this.initializers);
    const dims: number[] = [];
    const entries = new Map<string, string>();
    let type = 0;
    let isExternal = false;
    for (const field of fields(bytes)) {
      const { number } = field;
      if (number === inTensor.dims) dims.push(...extents(field));
      else if (number === inTensor.type) type = whole(field);
      else if (number === inTensor.location) isExternal = field.value === 1;
      else if (number === inTensor.external && field.bytes !== null) addEntry(entries, field.bytes);
      atMost('dims', dims.length);
    }
    const numbers = dims.reduce((product, size) => product * size, 1);
    // Beyond this the sums below could become inexact, and no file could hold the weight.
    if (numbers > 2 ** 40) throw new WireError('a weight has over 2^40 numbers');
    if (floatTypes.has(type)) this.parameters += numbers;
    if (type === float16) this.halves += numbers;
    if (isExternal) this.external.push(externalWeight(entries, numbers, type));
  }

  addMetadata(bytes: Uint8Array<ArrayBuffer>): void {
    addEntry(this.metadata, bytes);
  }

  addOpset(bytes: Uint8Array<ArrayBuffer>): void {
    let domain = '';
    let version = 0;
    for (const field of fields(bytes)) {
      if (field.number === inOpset.domain && field.bytes !== null) domain = text(field.bytes);
      else if (field.number === inOpset.version) version = whole(field);
    }
    if (domain === '' || domain === 'ai.onnx') this.opset = Math.max(this.opset, version);
  }
}

/** Read one extent, or several in a packed field. */
function extents(field: Field): number[] {
  if (field.bytes === null) return [whole(field)];
  atMost('dims', field.bytes.length / 10);
  return Array.from(packedVarints(field.bytes), (value) => checked(value ?? Infinity));
}

function whole({ value }: Field): number {
  return checked(value ?? Infinity);
}

function checked(value: number): number {
  if (value > Number.MAX_SAFE_INTEGER) throw new WireError('a size or version is beyond 2^53');
  return value;
}

function addEntry(entries: Map<string, string>, bytes: Uint8Array<ArrayBuffer>): void {
  let key = '';
  let value = '';
  for (const { number, bytes: inside } of fields(bytes)) {
    if (inside === null) continue;
    if (number === inEntry.key) key = text(inside);
    else if (number === inEntry.value) value = text(inside, maxMetadataBytes);
  }
  if (!entries.has(key)) entries.set(key, value);
  atMost('entries', entries.size);
}

function externalWeight(
  entries: ReadonlyMap<string, string>,
  numbers: number,
  type: number,
): ExternalWeight {
  const bits = bitsOfType.get(type);
  if (bits === undefined) throw new WireError(`weights of type ${type} have no known size`);
  const number = (key: string, otherwise: number): number => {
    const written = entries.get(key);
    if (written === undefined) return otherwise;
    if (!/^\d{1,15}$/.test(written)) throw new WireError(`the ${key} of a weight is no number`);
    return Number(written);
  };
  return {
    location: entries.get('location') ?? '',
    offset: number('offset', 0),
    bytes: number('length', Math.ceil((numbers * bits) / 8)),
  };
}

function atMost(what: keyof typeof limits, count: number): void {
  if (count > limits[what]) throw new WireError(`it has over ${limits[what]} ${what}`);
}

function text(bytes: Uint8Array<ArrayBuffer>, maxBytes = maxNameBytes): string {
  if (bytes.length > maxBytes) throw new WireError(`a name or text is over ${maxBytes} bytes`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new WireError('a name or text is not UTF-8', { cause });
  }
}

/** Return whether the file is text, such as a web page or a Git LFS pointer, instead of a model. */
function looksLikeText(bytes: Uint8Array<ArrayBuffer>): boolean {
  const start = bytes.subarray(0, 64);
  return (
    start.length > 0 &&
    start.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127))
  );
}
