// Makes one well-formed ONNX file of a graph and what was appended to it: one graph, its nodes in the order in which they
// compute, and a document that says what it has. Parsers that overwrite instead of merging would read nothing else.
import type { ActivationsDocument } from '../../contract/generated';
import { documentKey } from '../../contract/validate_document';
import { fields, messages, writeField, writeHeader, writeText } from '../../contract/wire_format';

/** Field numbers of onnx.proto. */
const inModel = { graph: 7, metadata: 14 };
const inGraph = { node: 1 };
const inNode = { input: 1, output: 2 };
const inEntry = { key: 1, value: 2 };

type Bytes = Uint8Array<ArrayBuffer>;

interface Node {
  readonly bytes: Bytes;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * Merge a ModelProto with those that were appended to it, and return the file. `document` takes the place of the
 * contract's own in the metadata; null leaves the file without one. Throws a WireError where the bytes are no model.
 */
export function wholeGraph(parts: readonly Bytes[], document: ActivationsDocument | null): Bytes {
  const ofModel: Bytes[] = [];
  const ofGraph: Bytes[] = [];
  const nodes: Node[] = [];
  for (const part of parts) {
    for (const field of fields(part)) {
      const { number, bytes, start, end } = field;
      if (number === inModel.graph && bytes !== null) readGraph(bytes, nodes, ofGraph);
      else if (number !== inModel.metadata || bytes === null || !isDocument(bytes))
        ofModel.push(part.subarray(start, end));
    }
  }
  const graph = [...inOrder(nodes).map(({ bytes }) => bytes), ...ofGraph];
  const length = graph.reduce((sum, bytes) => sum + bytes.length, 0);
  return joined([
    ...ofModel,
    ...(document === null ? [] : [Uint8Array.from(documentEntry(document))]),
    Uint8Array.from(writeHeader(inModel.graph, length)),
    ...graph,
  ]);
}

/** Return what the document of a saved graph says; null where it has inputs of edits, which the contract does not know. */
export function savedDocument(
  document: ActivationsDocument,
  added: ActivationsDocument['outputs'],
  hasEdits: boolean,
): ActivationsDocument | null {
  const { joints, ...closed } = document;
  const outputs = [...document.outputs, ...added];
  if (joints === undefined) return { ...document, outputs };
  return hasEdits ? null : { ...closed, graph: 'decoder', outputs };
}

function readGraph(graph: Bytes, nodes: Node[], others: Bytes[]): void {
  for (const { number, bytes, start, end } of fields(graph)) {
    const field = graph.subarray(start, end);
    if (number !== inGraph.node || bytes === null) others.push(field);
    else
      nodes.push({
        bytes: field,
        inputs: texts(bytes, inNode.input),
        outputs: texts(bytes, inNode.output),
      });
  }
}

/** Return the nodes so that each comes after those that give what it reads, otherwise in their own order. */
function inOrder(nodes: readonly Node[]): Node[] {
  const producers = new Map<string, Node>();
  for (const node of nodes) for (const name of node.outputs) producers.set(name, node);
  const ordered: Node[] = [];
  const begun = new Set<Node>();
  // Without recursion: a chain of nodes may be longer than the stack is deep.
  const waiting: { readonly node: Node; next: number }[] = [];
  for (const first of nodes) {
    if (begun.has(first)) continue;
    begun.add(first);
    waiting.push({ node: first, next: 0 });
    for (let top = waiting.at(-1); top !== undefined; top = waiting.at(-1)) {
      const input = top.node.inputs[top.next++];
      if (input === undefined) {
        ordered.push(top.node);
        waiting.pop();
        continue;
      }
      const producer = producers.get(input);
      if (producer === undefined || begun.has(producer)) continue;
      begun.add(producer);
      waiting.push({ node: producer, next: 0 });
    }
  }
  return ordered;
}

function isDocument(entry: Bytes): boolean {
  return texts(entry, inEntry.key).includes(documentKey);
}

function documentEntry(document: ActivationsDocument): number[] {
  return writeField(inModel.metadata, [
    ...writeText(inEntry.key, documentKey),
    ...writeText(inEntry.value, JSON.stringify(document)),
  ]);
}

function texts(message: Bytes, number: number): string[] {
  return Array.from(messages(message, number), (bytes) => new TextDecoder().decode(bytes));
}

/** Return the parts one after another. */
export function joined(parts: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
