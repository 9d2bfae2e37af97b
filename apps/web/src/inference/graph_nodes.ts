// Reads the names of a graph's nodes out of its serialized ModelProto. They are used in model_runner.ts; the format is
// in contract/wire_format.ts.
import { messages } from '../contract/wire_format';

/** Field numbers of onnx.proto. */
const modelGraph = 7;
const graphNode = 1;
const nodeName = 3;
const nodeOperator = 4;

/** Return the names of the nodes whose operator is one of `operators`, without unnamed nodes. Throws WireError. */
export function nodesOf(model: Uint8Array<ArrayBuffer>, operators: ReadonlySet<string>): string[] {
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

function texts(message: Uint8Array<ArrayBuffer>, number: number): string[] {
  return Array.from(messages(message, number), (bytes) => new TextDecoder().decode(bytes));
}
