// Reads the names of a graph's nodes out of its serialized ModelProto. What they are wanted for: model_runner.ts.

/** Field numbers of onnx.proto. */
const modelGraph = 7;
const graphNode = 1;
const nodeName = 3;
const nodeOperator = 4;

interface Field {
  readonly number: number;
  /** null for fields that are no message, string or bytes. */
  readonly bytes: Uint8Array | null;
}

/** Names of the nodes whose operator is one of `operators`; unnamed nodes cannot be addressed. */
export function nodesOf(model: Uint8Array, operators: ReadonlySet<string>): string[] {
  const names: string[] = [];
  // A graph to which taps were appended is several messages that merge into one.
  for (const graph of messages(model, modelGraph)) {
    for (const node of messages(graph, graphNode)) {
      const [operator = ''] = texts(node, nodeOperator);
      const [name = ''] = texts(node, nodeName);
      if (name !== '' && operators.has(operator)) names.push(name);
    }
  }
  return names;
}

function* messages(message: Uint8Array, number: number): Generator<Uint8Array> {
  for (const field of fields(message)) {
    if (field.number === number && field.bytes !== null) yield field.bytes;
  }
}

function texts(message: Uint8Array, number: number): string[] {
  return Array.from(messages(message, number), (bytes) => new TextDecoder().decode(bytes));
}

/** Throws RangeError where the message ends inside a field. */
function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > message.length) throw new RangeError('the message ends inside a field');
    at += length;
    return message.subarray(at - length, at);
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const [byte = 0] = take(1);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const number = Math.floor(key / 8);
    switch (key % 8) {
      case 0:
        varint();
        yield { number, bytes: null };
        break;
      case 1:
        take(8);
        yield { number, bytes: null };
        break;
      case 2:
        yield { number, bytes: take(varint()) };
        break;
      case 5:
        take(4);
        yield { number, bytes: null };
        break;
      default:
        throw new RangeError(`wire type ${key % 8} is not one of protobuf's`);
    }
  }
}
