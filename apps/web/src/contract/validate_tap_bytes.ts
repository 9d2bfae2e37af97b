// Checks of a tap's bytes. A tap may hold the outputs that it names and, for a lens, attribution and a dictionary, the
// nodes that compute them. An attribution tap may also declare the inputs of the contract's table, and the tap of a lens
// pack or a dictionary may refer to tensors in its own file. Anything else is refused: other weights, functions,
// subgraphs, metadata. The same rules in Python: oriel/contract/tap_bytes.py and taps.py.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import {
  attributionInputs,
  attributionOutputs,
  attributionPrefix,
  type AttributionPart,
  type AttributionPort,
} from './attribution_table';
import { layerShape } from './activation_table';
import type { Attribution, Manifest, ModelShape, Tap } from './generated';
import { fields, packedVarints, WireError, type Field } from './wire_format';

const rules = limits.tap;
/** Outputs that a tap's nodes may give: none of them is a joint of an open graph, which only closings give. */
const givenName = new RegExp(rules.given_name, 'u');
const innerName = new RegExp(rules.inner_name, 'u');
const domains = new Set(rules.domains);
type Messages = ReadonlyMap<string, ReadonlyMap<number, string>>;
const packRules = limits.lens_tap;
const dictionaryRules = limits.dictionary_tap;
const dictionaryOperators = new Set(dictionaryRules.operators);
const itemBytes = new Map(Object.entries(packRules.item_bytes));
const messagesOfTaps = messagesOf(rules.messages);
const messagesOfPacks = messagesOf({
  ...rules.messages,
  ...packRules.messages,
  Graph: packRules.graph,
});

function messagesOf(rows: Readonly<Record<string, Readonly<Record<string, string>>>>): Messages {
  return new Map(
    Object.entries(rows).map(([name, fields]) => [
      name,
      new Map(Object.entries(fields).map(([number, form]) => [Number(number), form])),
    ]),
  );
}

/** The file that holds the tensors of a lens pack's taps. */
export interface PackFile {
  readonly path: string;
  readonly bytes: number;
  /** Width of the model's residual stream, and so of the maps. */
  readonly hidden: number;
}

/** The file that holds the tensors of a dictionary's taps. */
export interface DictionaryFile {
  readonly path: string;
  readonly bytes: number;
  /** Sizes of each tensor that a tap must have, by its name in the tap. */
  readonly tensors: ReadonlyMap<string, readonly number[]>;
  /** Name of the activation that the features are computed from. */
  readonly reads: string;
}

/** Shared by all names: a manifest has thousands. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Values of each field by its number, in order. Bytes and lists of numbers are null, as they are not used here. */
type Fields = ReadonlyMap<number, readonly Value[]>;
type Value = number | string | Fields | null;

/** The forms of a field that may stand in each wire type; null where its content decides. */
const formsOfWire: Readonly<Record<Field['wire'], ReadonlySet<string> | null>> = {
  0: new Set(['varint', 'varints']),
  1: new Set(),
  2: null,
  5: new Set(['fixed32', 'floats']),
};

class TapError extends Error {}

/** Return what is wrong with the bytes of a manifest's taps, or null. */
export function unsoundTapBytes({ model, variants }: Manifest): string | null {
  for (const { name, taps, attribution, open } of variants) {
    for (const tap of taps) {
      const problem = problemOf(() => {
        checkTap(tap, null);
      });
      if (problem !== null) return `variant ${name}: tap ${tap.outputs[0]?.name ?? ''}: ${problem}`;
    }
    if (attribution === undefined) continue;
    const problem = problemOf(() => {
      if (open === undefined) throw new TapError('it is of no open graph');
      checkAttribution(attribution, model.shape);
    });
    if (problem !== null) return `variant ${name}: attribution: ${problem}`;
  }
  return null;
}

/** Return what is wrong with the bytes of one tap, or null. `pack`: the pack's file, for a tap of a lens pack. */
export function unsoundBytes(tap: Tap, pack: PackFile | null = null): string | null {
  return problemOf(() => {
    checkTap(tap, pack);
  });
}

/**
 * Return what is wrong with the bytes of a dictionary's tap, which gives `output` alone, or null. Its nodes are of few
 * operators and read the dictionary's activation, its tensors and one another; so the tap depends on nothing else of the
 * graph.
 */
export function unsoundDictionaryTap(
  tap: Tap,
  output: string,
  file: DictionaryFile,
): string | null {
  return problemOf(() => {
    checkDictionaryTap(tap, output, file);
  });
}

function checkDictionaryTap({ bytes, outputs }: Tap, output: string, file: DictionaryFile): void {
  const graph = onlyGraph(bytes, messagesOfPacks);
  checkPorts(graph, [], outputs);
  const [nodes, tensors] = [messages(graph, 1), messages(graph, 5)];
  if (nodes.length > dictionaryRules.nodes) {
    throw new TapError(`it has over ${dictionaryRules.nodes} nodes`);
  }
  const made = checkNodes(nodes, (name) => name === output || name.startsWith(`${output}/`));
  if (!made.has(output)) throw new TapError("its nodes don't give its output");
  const found = tensors.map((tensor) => textOf(one(tensor, 8, 'name')));
  const isWhole = found.length === file.tensors.size && new Set(found).size === found.length;
  if (!isWhole || found.some((name) => !file.tensors.has(name) || made.has(name))) {
    throw new TapError("it has other tensors than the dictionary's encoder");
  }
  for (const tensor of tensors) {
    const wanted = file.tensors.get(textOf(one(tensor, 8, 'name'))) ?? [];
    const sizes = tensor.get(1) ?? [];
    if (sizes.length !== wanted.length || sizes.some((size, axis) => size !== wanted[axis])) {
      throw new TapError("a tensor has another shape than the dictionary's");
    }
    checkPlace(tensor, file);
  }
  checkReads(nodes, new Set([file.reads, ...found]));
}

/** Check that nodes are of a dictionary's operators, and that each reads only what is known or was given before it. */
function checkReads(nodes: readonly Fields[], known: Set<string>): void {
  for (const node of nodes) {
    if (!dictionaryOperators.has(texts(node, 4)[0] ?? '')) {
      throw new TapError('a node is of an operator that no dictionary needs');
    }
    if (texts(node, 1).some((name) => !known.has(name))) {
      throw new TapError("a node reads what is not the dictionary's");
    }
    for (const name of texts(node, 2)) known.add(name);
  }
}

function messages(graph: Fields, number: number): Fields[] {
  return (graph.get(number) ?? []).filter(isMessage);
}

function problemOf(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof TapError || error instanceof WireError) return error.message;
    throw error;
  }
}

function checkTap({ bytes, outputs }: Tap, pack: PackFile | null): void {
  const names = new Set(outputs.map(({ name }) => name));
  const graph = onlyGraph(bytes, pack === null ? messagesOfTaps : messagesOfPacks);
  checkPorts(graph, [], outputs);
  const made = checkNodes(
    graph.get(1) ?? [],
    (name) => (names.has(name) && givenName.test(name)) || innerName.test(name),
  );
  if (pack !== null) checkStored(graph.get(5) ?? [], pack, made);
}

function checkAttribution({ model, layers, neurons }: Attribution, shape: ModelShape): void {
  for (const [name, taps] of Object.entries({ layers, neurons })) {
    if (taps.length !== shape.layers) {
      throw new TapError(`it has ${name} of ${taps.length} of ${shape.layers} layers`);
    }
  }
  for (let layer = 0; layer < shape.layers; layer++) {
    if ((layerShape(shape, layer).experts ?? 0) > 0) throw new TapError('the model has experts');
  }
  checkAttributionTap(model, shape, 'model', null);
  for (const [layer, tap] of layers.entries()) checkAttributionTap(tap, shape, 'layer', layer);
  for (const [layer, tap] of neurons.entries()) checkAttributionTap(tap, shape, 'neurons', layer);
}

/** All tensors that a tap computes have the tap's own prefix, so that no two taps define the same tensor. */
function checkAttributionTap(
  tap: string,
  shape: ModelShape,
  part: AttributionPart,
  layer: number | null,
): void {
  const outputs = attributionOutputs(shape, part, layer);
  const prefix = attributionPrefix(part, layer);
  const graph = onlyGraph(tap, messagesOfTaps);
  checkPorts(graph, part === 'model' ? attributionInputs : [], outputs);
  const made = checkNodes(graph.get(1) ?? [], (name) => name.startsWith(prefix));
  if (outputs.some(({ name }) => !made.has(name))) {
    throw new TapError("its nodes don't give its outputs");
  }
}

function onlyGraph(bytes: string, messages: typeof messagesOfTaps): Fields {
  // The schema's pattern lets only base64 through.
  const payload = atob(bytes);
  if (btoa(payload) !== bytes) throw new TapError('its base64 has bits too many');
  const graphs = read(bytesOf(payload), 'Model', messages).get(7) ?? [];
  const [graph] = graphs;
  if (graphs.length !== 1 || !isMessage(graph)) {
    throw new TapError(`it holds ${graphs.length} graphs`);
  }
  return graph;
}

function checkPorts(
  graph: Fields,
  inputs: readonly AttributionPort[],
  outputs: readonly AttributionPort[],
): void {
  const isSame = (number: number, ports: readonly AttributionPort[]): boolean =>
    JSON.stringify((graph.get(number) ?? []).map(port)) === JSON.stringify(ports.map(said));
  if (!isSame(11, inputs)) {
    throw new TapError("it doesn't hold the inputs that a tap of its kind has");
  }
  if (!isSame(12, outputs)) throw new TapError("it doesn't hold the outputs that it names");
}

/** Return the bytes of a string that has one character for each byte, as `atob` returns it. */
function bytesOf(payload: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(payload.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = payload.charCodeAt(index);
  return bytes;
}

function said({ name, dtype, shape }: AttributionPort): unknown[] {
  return [name, rules.elements[dtype], shape];
}

function port(value: Value): unknown[] {
  const tensor = one(one(value, 2, 'type'), 1, 'type');
  const shape = one(tensor, 2, 'shape');
  const sizes = (isMessage(shape) ? (shape.get(1) ?? []) : []).map((dimension) => {
    const [values, ...others] = isMessage(dimension) ? [...dimension.values()] : [];
    if (values?.length !== 1 || others.length > 0) {
      throw new TapError('a dimension is not one size');
    }
    return values[0];
  });
  return [one(value, 1, 'name'), one(tensor, 1, 'element'), sizes];
}

function one(message: Value, number: number, what: string): Value {
  const values = isMessage(message) ? (message.get(number) ?? []) : [];
  const [value = null] = values;
  if (values.length !== 1) {
    throw new TapError(`there are ${values.length} fields for a ${what}`);
  }
  return value;
}

function isMessage(value: Value | undefined): value is Fields {
  return value instanceof Map;
}

/** Return the tensors of a lens pack's tap that `unsoundBytes` has accepted. */
export function storedTensors({ bytes }: Tap): { name: string; dtype: number; offset: number }[] {
  const [graph] = read(bytesOf(atob(bytes)), 'Model', messagesOfPacks).get(7) ?? [];
  return (isMessage(graph) ? (graph.get(5) ?? []) : []).map((tensor) => {
    const said = isMessage(tensor) ? (tensor.get(13) ?? []) : [];
    const offset = said.find((entry) => textOf(one(entry, 1, 'key')) === 'offset') ?? null;
    return {
      name: textOf(one(tensor, 8, 'name')),
      dtype: Number(textOf(one(tensor, 2, 'dtype'))),
      offset: Number(textOf(one(offset, 2, 'value'))),
    };
  });
}

/** Check each node, whose outputs must satisfy `mayGive`. Return the names of all outputs. */
function checkNodes(nodes: readonly Value[], mayGive: (name: string) => boolean): Set<string> {
  if (nodes.length > rules.nodes) throw new TapError(`it has over ${rules.nodes} nodes`);
  const made = new Set<string>();
  for (const node of nodes) {
    if (!isMessage(node)) continue;
    const operators = texts(node, 4);
    const [domain = '', ...others] = texts(node, 7);
    if (operators.length !== 1 || others.length > 0 || texts(node, 3).length > 1) {
      throw new TapError('a node is not of one operator');
    }
    if (!domains.has(domain)) {
      throw new TapError("a node is of a domain that readers don't have");
    }
    for (const text of texts(node, 2)) {
      if (made.has(text) || !mayGive(text)) {
        throw new TapError("a node gives what is not the tap's");
      }
      made.add(text);
    }
  }
  return made;
}

/** Check that each tensor is a matrix or a bias of the stream's width and lies entirely inside the pack's file. */
function checkStored(tensors: readonly Value[], pack: PackFile, made: Set<string>): void {
  for (const tensor of tensors) {
    const name = textOf(one(tensor, 8, 'name'));
    if (made.has(name) || !innerName.test(name)) {
      throw new TapError("a tensor has the name of what is not the tap's");
    }
    made.add(name);
    const sizes = isMessage(tensor) ? (tensor.get(1) ?? []) : [];
    if (![1, 2].includes(sizes.length) || sizes.some((size) => size !== pack.hidden)) {
      throw new TapError('a tensor is not as wide as the stream');
    }
    checkPlace(tensor, pack);
  }
}

/** Check that a tensor holds floats that lie entirely inside a file. */
function checkPlace(tensor: Value, file: { readonly path: string; readonly bytes: number }): void {
  const item = itemBytes.get(textOf(one(tensor, 2, 'dtype')));
  if (item === undefined || one(tensor, 14, 'place') !== 1) {
    throw new TapError("a tensor is not of floats in the tap's file");
  }
  const said = isMessage(tensor) ? (tensor.get(13) ?? []) : [];
  const place = new Map(
    said.map((entry) => [textOf(one(entry, 1, 'key')), textOf(one(entry, 2, 'value'))]),
  );
  if (said.length !== 3 || [...place.keys()].sort().join() !== 'length,location,offset') {
    throw new TapError("a tensor's place is not a location, an offset and a length");
  }
  if (place.get('location') !== file.path) {
    throw new TapError("a tensor lies in another file than the tap's");
  }
  const [offset, length] = [whole(place.get('offset')), whole(place.get('length'))];
  const sizes = isMessage(tensor) ? (tensor.get(1) ?? []) : [];
  const values = sizes.reduce<number>((product, size) => product * Number(size), 1);
  if (length !== values * item || offset + length > file.bytes) {
    throw new TapError("a tensor does not fit into the tap's file");
  }
}

/** Return a name or a number as a string; limits.json allows nothing else in these fields. */
function textOf(value: Value): string {
  return isMessage(value) || value === null ? '' : String(value);
}

function whole(text = ''): number {
  if (!/^(?:0|[1-9][0-9]{0,14})$/.test(text)) throw new TapError("a tensor's place is no number");
  return Number(text);
}

function texts(message: Fields, number: number): string[] {
  return (message.get(number) ?? []).filter((value) => typeof value === 'string');
}

function read(message: Uint8Array<ArrayBuffer>, kind: string, messages: Messages): Fields {
  const known = messages.get(kind);
  const found = new Map<number, Value[]>();
  for (const field of fields(message)) {
    const form = known?.get(field.number);
    if (form === undefined) {
      throw new TapError(`it has field ${field.number} of ${kind}, which no tap may have`);
    }
    if (!(formsOfWire[field.wire]?.has(form) ?? true)) throw wrongType(field.number, kind);
    const value = field.bytes === null ? field.value : valueOf(field.bytes, form, messages);
    const values = found.get(field.number);
    if (values === undefined) found.set(field.number, [value]);
    else values.push(value);
  }
  return found;
}

function wrongType(number: number, kind: string): TapError {
  return new TapError(`field ${number} of ${kind} is of another type`);
}

function valueOf(part: Uint8Array<ArrayBuffer>, form: string, messages: Messages): Value {
  if (messages.has(form)) return read(part, form, messages);
  switch (form) {
    case 'text':
      try {
        return decoder.decode(part);
      } catch (cause) {
        throw new TapError('a name is no UTF-8', { cause });
      }
    case 'varints':
      // Iterating reads each number, and throws where the last is cut off.
      Array.from(packedVarints(part));
      return null;
    case 'floats':
      if (part.length % 4 !== 0) throw new TapError('it ends inside a number');
      return null;
    case 'bytes':
      return null;
    default:
      throw new TapError(`a field is of another type than ${form}`);
  }
}
