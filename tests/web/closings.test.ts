// Closings of joints: their bytes as another reader and the runtime read them, and their numbers by plain loops.
import * as ort from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import contract from '../../contracts/activations.json' with { type: 'json' };
import { closingBytes } from '../../apps/web/src/bundle/onnx/closing_bytes';
import { closingTable } from '../../apps/web/src/contract/closing_table';
import type { ClosingName, TensorSpec } from '../../apps/web/src/contract/generated';
import { joined } from '../../apps/web/src/bundle/onnx/whole_graph';
import { floatValue, readOnnx, writeOnnx } from './onnx_proto';

const [tokens, width] = [3, 4];
const joint: TensorSpec = {
  name: 'layer_0_resid_post',
  dtype: 'float32',
  shape: ['batch_size', 'sequence_length', width],
};
const values = Float32Array.from({ length: tokens * width }, (_, index) => Math.sin(index * 7) * 3);

/** A graph that is open at one joint: x goes in, and y is what comes out. */
const openAt = (name: string, dims: number[]): Uint8Array<ArrayBuffer> =>
  writeOnnx({
    irVersion: 9,
    opsetImport: [{ domain: '', version: 20 }],
    graph: {
      name: 'open',
      node: [
        { opType: 'Identity', input: ['x'], output: [`${name}/pre`] },
        { opType: 'Identity', input: [name], output: ['y'] },
      ],
      input: [floatValue('x', dims)],
      output: [floatValue('y', dims)],
    },
  });

type Given = Record<string, { dims: readonly number[]; data: Float32Array | Uint8Array }>;

/** Run the graph with these closings; what each is given is under its index. */
async function run(
  closings: readonly ClosingName[],
  given: readonly Given[],
  at: TensorSpec = joint,
  dims = [1, tokens, width],
): Promise<number[]> {
  const bytes = joined([openAt(at.name, dims), closingBytes([{ joint: at, closings }])]);
  const session = await ort.InferenceSession.create(bytes);
  const feeds: Record<string, ort.Tensor> = { x: new ort.Tensor('float32', values, dims) };
  for (const [index, tensors] of given.entries())
    for (const [name, { dims, data }] of Object.entries(tensors))
      feeds[`${at.name}/${index}/${name}`] =
        data instanceof Uint8Array
          ? new ort.Tensor('bool', data, dims)
          : new ort.Tensor('float32', data, dims);
  expect([...session.inputNames].sort()).toEqual(Object.keys(feeds).sort());
  const { y } = await session.run(feeds);
  await session.release();
  return Array.from(y?.data as Float32Array);
}

const row = (...numbers: number[]) => ({ dims: [1, 1, width], data: Float32Array.from(numbers) });
const one = (value: number) => ({ dims: [1, 1, 1], data: Float32Array.of(value) });

/** Change each token's row of the values. */
function rows(change: (row: number[], token: number) => number[]): number[] {
  return Array.from({ length: tokens }, (_, token) =>
    change(Array.from(values.subarray(token * width, (token + 1) * width)), token),
  ).flat();
}

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
const plus = (a: readonly number[], b: readonly number[], times: number): number[] =>
  a.map((value, at) => value + times * (b[at] ?? 0));

const unit = [0.5, -0.5, 0.5, 0.5];
const first = [3, 0, 4, 0];
const second = [0, 5, 0, 0];
const between = plus(first, second, -1);

const feature = (inner: number, threshold: number): number => (inner > threshold ? inner : 0);

/** Each closing with what it is given, and what comes out by its meaning. */
const cases: [ClosingName, Given, number[]][] = [
  ['identity', {}, Array.from(values)],
  ['add', { add: row(1, -2, 0, 0.5) }, rows((r) => plus(r, [1, -2, 0, 0.5], 1))],
  [
    'scale',
    { scale: { dims: [1, tokens, 1], data: Float32Array.of(0, 1, -2) } },
    rows((r, t) => r.map((v) => v * ([0, 1, -2][t] ?? 0))),
  ],
  [
    'replace',
    { value: row(9, 8, 7, 6), mask: { dims: [1, tokens, 1], data: Uint8Array.of(0, 1, 0) } },
    rows((r, t) => (t === 1 ? [9, 8, 7, 6] : r)),
  ],
  [
    'project-out',
    { direction: row(...unit), amount: one(1) },
    rows((r) => plus(r, unit, -dot(r, unit))),
  ],
  [
    'project-out',
    { direction: row(...unit), amount: one(2) },
    rows((r) => plus(r, unit, -2 * dot(r, unit))),
  ],
  [
    'cap',
    { direction: row(...unit), limit: one(0.25) },
    rows((r) => plus(r, unit, -Math.max(0, dot(r, unit) - 0.25))),
  ],
  [
    'swap',
    { first: row(...first), second: row(...second), amount: one(1) },
    rows((r) => plus(r, between, (-2 * dot(r, between)) / dot(between, between))),
  ],
  [
    'clamp',
    {
      ...{ encoder: row(...first), direction: row(...unit), bias: one(-1), threshold: one(0.5) },
      ...{ value: one(4), amount: { dims: [1, tokens, 1], data: Float32Array.of(1, 0, 1) } },
    },
    rows((r, t) => plus(r, unit, t === 1 ? 0 : 4 - feature(dot(r, first) - 1, 0.5))),
  ],
];

describe('each closing', () => {
  test.each(cases)('%s gives what it says', async (closing, given, expected) => {
    const got = await run([closing], [given]);
    const errors = expected.map((value, at) => Math.abs(value - (got[at] ?? NaN)));
    expect(Math.max(...errors)).toBeLessThan(2e-6);
  });

  test.each(closingTable.map(({ closing }) => closing))(
    '%s is neutral at its neutral values',
    async (closing) => {
      const { inputs } = closingTable.find((entry) => entry.closing === closing) ?? { inputs: [] };
      const given = Object.fromEntries(
        inputs.map(({ name, dtype, neutral }) => [
          name,
          {
            dims: [1, 1, 1],
            data: dtype === 'bool' ? Uint8Array.of(neutral) : Float32Array.of(neutral),
          },
        ]),
      );
      expect(await run([closing], [given])).toEqual(Array.from(values));
    },
  );

  test('every one of the contract is among them', () => {
    expect(new Set(cases.map(([closing]) => closing))).toEqual(
      new Set(contract.closings.map(({ closing }) => closing)),
    );
  });
});

test('a clamp at a joint with heads has one feature for all heads of a token', async () => {
  const of: TensorSpec = {
    name: 'layer_0_attn_z',
    dtype: 'float32',
    shape: ['batch_size', 2, 'sequence_length', 2],
  };
  const number = (value: number) => ({ dims: [1, 1, 1, 1], data: Float32Array.of(value) });
  const [encoder, direction] = [
    [0.5, -1, 2, 0.25],
    [1, 0, 0, -3],
  ];
  const heads = (numbers: readonly number[]) => ({
    dims: [1, 2, 1, 2],
    data: Float32Array.from(numbers),
  });
  const given = { bias: number(0.5), threshold: number(1), value: number(-2), amount: number(1) };
  const got = await run(
    ['clamp'],
    [{ ...given, encoder: heads(encoder), direction: heads(direction) }],
    of,
    [1, 2, tokens, 2],
  );
  const at = (head: number, token: number, column: number): number =>
    (head * tokens + token) * 2 + column;
  for (let token = 0; token < tokens; token++) {
    const places = [at(0, token, 0), at(0, token, 1), at(1, token, 0), at(1, token, 1)];
    const own = places.map((place) => values[place] ?? NaN);
    const wanted = plus(own, direction, -2 - feature(dot(own, encoder) + 0.5, 1));
    for (const [index, place] of places.entries())
      expect(got[place]).toBeCloseTo(wanted[index] ?? NaN, 5);
  }
});

test('several at one joint apply in their order', async () => {
  const add = { add: row(1, 1, 1, 1) };
  const scale = { scale: one(2) };
  const near = (got: number[], expected: number[]): void => {
    for (const [at, value] of expected.entries()) expect(got[at]).toBeCloseTo(value, 5);
  };
  near(
    await run(['add', 'scale'], [add, scale]),
    Array.from(values, (v) => (v + 1) * 2),
  );
  near(
    await run(['scale', 'add'], [scale, add]),
    Array.from(values, (v) => v * 2 + 1),
  );
  near(
    await run(['add', 'add', 'scale'], [add, add, scale]),
    Array.from(values, (v) => (v + 2) * 2),
  );
});

test('swapped vectors are each other', async () => {
  values.set(first, 0);
  values.set(second, width);
  const got = await run(
    ['swap'],
    [{ first: row(...first), second: row(...second), amount: one(1) }],
  );
  for (const [at, value] of [...second, ...first].entries()) expect(got[at]).toBeCloseTo(value, 5);
});

describe('as another reader reads them', () => {
  const closings = closingTable.map(({ closing }) => closing);
  const { graph } = readOnnx(closingBytes([{ joint, closings }]));

  test('each input has its type, the joint’s rank, and no sizes', () => {
    expect(
      graph.input.map(({ name, type: { tensorType } }) => [
        name,
        tensorType.elemType,
        tensorType.shape.dim.length,
      ]),
    ).toEqual(
      contract.closings.flatMap(({ inputs }, index) =>
        inputs.map(({ name, dtype }) => [
          `${joint.name}/${index}/${name}`,
          dtype === 'bool' ? 9 : 1,
          3,
        ]),
      ),
    );
    for (const { type } of graph.input)
      for (const size of type.tensorType.shape.dim)
        expect(size).toEqual({ dimParam: '', dimValue: expect.anything() as unknown });
  });

  test('no two nodes give the same, all that is read is given, and the joint is given last', () => {
    const given = graph.node.flatMap(({ output }) => output);
    expect(new Set(given).size).toBe(given.length);
    expect(given.at(-1)).toBe(joint.name);
    const known = new Set([`${joint.name}/pre`, ...graph.input.map(({ name }) => name), ...given]);
    for (const { input } of graph.node) for (const name of input) expect(known).toContain(name);
  });

  test('the operators are the contract’s', () => {
    expect(graph.node.map(({ opType }) => opType)).toEqual(
      contract.closings.flatMap(({ nodes }) => nodes.map(({ op }) => op)),
    );
  });

  test('a joint without edits has one node and no inputs', () => {
    const { graph: untouched } = readOnnx(closingBytes([{ joint, closings: [] }]));
    expect(untouched.input).toEqual([]);
    expect(untouched.node).toMatchObject([
      { opType: 'Identity', input: [`${joint.name}/pre`], output: [joint.name] },
    ]);
  });
});
