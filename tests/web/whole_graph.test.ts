// A saved graph: one that parsers read which overwrite instead of merging, in order, with a document that is true of it.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import * as ort from 'onnxruntime-web';
import { expect, test } from 'vitest';
import { readBareModel } from '../../apps/web/src/bundle/onnx/bare_model';
import { retryPolicy } from '../../apps/web/src/bundle/download/retry_policy';
import { FileByteSource } from '../../apps/web/src/bundle/sources/file_source';
import { closingBytes } from '../../apps/web/src/bundle/onnx/closing_bytes';
import { joined, savedDocument, wholeGraph } from '../../apps/web/src/bundle/onnx/whole_graph';
import type {
  ActivationsDocument,
  TensorSpec,
  Variant,
} from '../../apps/web/src/contract/generated';
import { sessionGraph } from '../../apps/web/src/contract/variant_graphs';
import { noSlots } from '../../apps/web/src/inference/closing_slots';
import { openTaps, savedGraph } from '../../apps/web/src/inference/taps';
import { floatValue, readOnnx, writeOnnx, type OnnxGraph } from './onnx_proto';

const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/bare_graphs.json', import.meta.url), 'utf8'),
) as { graphs: Record<string, { gzip: string }> };

function graphOf(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(Buffer.from(fixtures.graphs[name]?.gzip ?? '', 'base64')));
}

async function variantOf(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<Variant> {
  const source = new FileByteSource(new Map([[name, new File([bytes], name)]]));
  const context = { retryPolicy, signal: new AbortController().signal };
  const { manifest } = await readBareModel(source, name, context, () => undefined);
  const [variant] = manifest.variants;
  if (variant === undefined) throw new Error('no variant');
  return variant;
}

/** Every name that a node reads is given by one before it, or is no node's. */
function expectOrder({ node }: OnnxGraph): void {
  const all = new Set(node.flatMap(({ output }) => output));
  const given = new Set<string>();
  for (const { input, output } of node) {
    for (const name of input) expect(all.has(name) && !given.has(name), name).toBe(false);
    for (const name of output) given.add(name);
  }
}

test.each(Object.keys(fixtures.graphs).filter((name) => name.includes('open')))(
  'what is appended to %s stands in one graph, where a mere concatenation would lose it',
  async (name) => {
    const graph = graphOf(name);
    const variant = await variantOf(name, graph);
    const names = ['layer_0_q', 'layer_1_mlp_act'];
    const before = readOnnx(graph).graph;
    const { parts } = openTaps(variant, graph, names, noSlots);
    // This is what they make of it without merging: the last part alone.
    expect(readOnnx(joined(parts)).graph.node).toEqual([]);
    const saved = readOnnx(savedGraph(variant, graph, names, noSlots));
    const joints = sessionGraph(variant).activations.joints ?? [];
    expect(saved.graph.node.length).toBe(before.node.length + joints.length);
    expectOrder(saved.graph);
    expect(saved.graph.name).toBe(before.name);
    expect(saved.graph.output.map((output) => output.name)).toEqual([
      ...before.output.map((output) => output.name),
      ...names,
    ]);
    // The page opens it again, with the taps among its outputs.
    const bytes = savedGraph(variant, graph, names, noSlots);
    const again = await variantOf(name, bytes);
    expect(again.plain.activations.outputs.map((output) => output.name)).toEqual([
      'logits',
      ...names,
    ]);
  },
);

const joint: TensorSpec = { name: 'layer_0_q', dtype: 'float32', shape: ['batch_size', 2] };
const open = writeOnnx({
  irVersion: 9,
  producerName: 'test',
  opsetImport: [{ domain: '', version: 20 }],
  metadataProps: [
    { key: 'oriel.activations', value: '{"graph":"open"}' },
    { key: 'oriel.model', value: '{}' },
  ],
  graph: {
    name: 'open',
    node: [
      { opType: 'Relu', input: ['x'], output: [`${joint.name}/pre`] },
      { opType: 'Neg', input: [joint.name], output: ['y'] },
    ],
    input: [floatValue('x', [1, 2])],
    output: [floatValue('y', [1, 2])],
  },
});
const document = {
  contract_version: '2.0',
  graph: 'open',
  inputs: [],
  outputs: [],
  joints: [joint],
} as unknown as ActivationsDocument;

test('closed joints are in order, and the runtime computes with them', async () => {
  const parts = [open, closingBytes([{ joint, closings: ['add', 'scale'] }])];
  const bytes = wholeGraph(parts, null);
  const { graph, metadataProps } = readOnnx(bytes);
  expectOrder(graph);
  expect(graph.node.map(({ opType }) => opType)).toEqual(['Relu', 'Add', 'Mul', 'Neg']);
  // No document of the contract knows the inputs of edits; all other metadata stays.
  expect(metadataProps.map(({ key }) => key)).toEqual(['oriel.model']);
  const session = await ort.InferenceSession.create(bytes);
  const tensor = (...values: number[]): ort.Tensor =>
    new ort.Tensor('float32', Float32Array.from(values), [1, values.length]);
  const { y } = await session.run({
    x: tensor(-1, 2),
    'layer_0_q/0/add': tensor(10),
    'layer_0_q/1/scale': tensor(1, 3),
  });
  expect(Array.from(y?.data as Float32Array)).toEqual([-10, -36]);
});

test('the document of a closed graph is of a decoder without joints', () => {
  const closed = savedDocument(document, [joint], false);
  expect(closed).toEqual({
    contract_version: '2.0',
    graph: 'decoder',
    inputs: [],
    outputs: [joint],
  });
  expect(savedDocument(document, [joint], true)).toBeNull();
  const { metadataProps } = readOnnx(
    wholeGraph([open, closingBytes([{ joint, closings: [] }])], closed),
  );
  expect(metadataProps.map(({ key }) => key)).toEqual(['oriel.model', 'oriel.activations']);
  expect(JSON.parse(metadataProps[1]?.value ?? '')).toEqual(closed);
});

test('a long chain that stands backwards is put in order', () => {
  const count = 50_000;
  const node = Array.from({ length: count }, (_, index) => ({
    opType: 'Neg',
    input: [index === count - 1 ? 'x' : `t${index + 1}`],
    output: [`t${index}`],
  }));
  const { graph } = readOnnx(wholeGraph([writeOnnx({ graph: { node } })], null));
  expect(graph.node[0]?.input).toEqual(['x']);
  expect(graph.node.at(-1)?.output).toEqual(['t0']);
  expect(graph.node.length).toBe(count);
});
