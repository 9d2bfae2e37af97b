// Interventions as one value: a key that follows from what they change, and the inputs that they become.
import fc from 'fast-check';
import * as ort from 'onnxruntime-web';
import { expect, test } from 'vitest';
import contract from '../../contracts/activations.json' with { type: 'json' };
import { noSlots } from '../../apps/web/src/inference/closing_slots';
import { protocolOf } from '../../apps/web/src/inference/graph_protocols';
import {
  headsOff,
  interventionKey,
  isNeutral,
  noInterventions,
  switchingOff,
  toggledHead,
  type HeadScale,
  type Interventions,
  type ResidualDelta,
  type Span,
} from '../../apps/web/src/inference/interventions';
import { applicable, jointEdits } from '../../apps/web/src/inference/joint_edits';

// Layers and heads of two digits: a key that ran them together would take one for another.
const shape = {
  layers: 12,
  heads: 13,
  hidden: 3,
  context_length: 16,
  kv_heads: 13,
  head_dim: 1,
  intermediate: 4,
  vocab: 7,
  parallel_residual: false,
};

type Intervention = HeadScale | ResidualDelta;

/** The inputs of a graph of contract 1.x, which has one for each kind in each layer. */
function interventionFeeds(
  runtime: typeof ort,
  some: Interventions,
  model: typeof shape,
  fed: Span,
): Record<string, ort.Tensor> {
  const document = {
    contract_version: '1.0',
    graph: 'interactive' as const,
    model,
    inputs: [],
    outputs: [],
  };
  const session = { document, slots: noSlots, names: [] };
  return protocolOf(document).edited(runtime, jointEdits(some, model, fed), session);
}

const layer = fc.nat(shape.layers - 1);
const number = fc.float({ noNaN: true, min: -4, max: 4 });
const delta = fc
  .array(number, { minLength: shape.hidden, maxLength: shape.hidden })
  .map((values) => Float32Array.from(values));
const position = fc.option(fc.nat(shape.context_length - 1));

const entry: fc.Arbitrary<Intervention> = fc.oneof(
  fc.record({
    kind: fc.constant('head-scale' as const),
    layer,
    head: fc.nat(shape.heads - 1),
    scale: number,
  }),
  fc.record({ kind: fc.constant('residual-delta' as const), layer, position, delta }),
);
const entries = fc.array(entry, { maxLength: 8 });

const neutralEntry: fc.Arbitrary<Intervention> = fc.oneof(
  fc.record({
    kind: fc.constant('head-scale' as const),
    layer,
    head: fc.nat(shape.heads - 1),
    scale: fc.constant(1),
  }),
  fc.record({
    kind: fc.constant('residual-delta' as const),
    layer,
    position,
    delta: fc.constantFrom(new Float32Array(shape.hidden), new Float32Array(shape.hidden).fill(-0)),
  }),
);

/** The same entries and neutral ones, in another order. */
const shuffledWith = (
  interventions: readonly Intervention[],
  neutral: readonly Intervention[],
): fc.Arbitrary<Intervention[]> => {
  const all = [...interventions, ...neutral];
  return fc.shuffledSubarray(all, { minLength: all.length });
};

const whole = { start: 0, end: shape.context_length };

/** Every number that the graph is fed for all positions, by input: a plain loop over the contract's own words. */
function numbersOf(interventions: readonly Intervention[]): Map<string, number[]> {
  const numbers = new Map<string, number[]>();
  for (let at = 0; at < shape.layers; at++) {
    const scale = Array.from({ length: shape.heads }, () => 1);
    const rows = Array.from({ length: shape.context_length * shape.hidden }, () => 0);
    for (const each of interventions) {
      if (each.layer !== at) continue;
      if (each.kind === 'head-scale') scale[each.head] = (scale[each.head] ?? 0) * each.scale;
      else
        for (const [index] of rows.entries())
          if (each.position === null || each.position === Math.floor(index / shape.hidden))
            rows[index] = (rows[index] ?? 0) + (each.delta[index % shape.hidden] ?? 0);
    }
    numbers.set(`layer_${at}_head_scale`, scale);
    numbers.set(`layer_${at}_resid_delta`, rows);
  }
  return numbers;
}

/** What the graph is fed for an input, a row for each position where one stands for all. */
function fedFor(name: string, tensor: ort.Tensor | undefined): number[] {
  const isScale = name.endsWith('_head_scale');
  const count = isScale ? shape.heads : shape.context_length * shape.hidden;
  const data = tensor === undefined ? [isScale ? 1 : 0] : [...(tensor.data as Float32Array)];
  return Array.from({ length: count }, (_, index) => data[index % data.length] ?? NaN);
}

test('the order and neutral entries leave the key as it is', () => {
  fc.assert(
    fc.property(
      entries.chain((some) =>
        fc
          .array(neutralEntry, { maxLength: 4 })
          .chain((neutral) => fc.tuple(fc.constant(some), shuffledWith(some, neutral))),
      ),
      ([some, shuffled]) => {
        expect(interventionKey(shuffled)).toBe(interventionKey(some));
        expect(interventionFeeds(ort, shuffled, shape, whole)).toEqual(
          interventionFeeds(ort, some, shape, whole),
        );
      },
    ),
  );
});

const placeOf = (each: Intervention): string =>
  JSON.stringify([each.kind, each.layer, each.kind === 'head-scale' ? each.head : each.position]);

test('rounding does not depend on the order either', () => {
  const deltas = [1e16, 1, -1e16].map((value): Intervention => ({
    kind: 'residual-delta',
    layer: 0,
    position: null,
    delta: Float32Array.of(value, 0, 0),
  }));
  const [big, one, small] = deltas as [Intervention, Intervention, Intervention];
  expect(interventionKey([big, small, one])).toBe(interventionKey([big, one, small]));
});

/** One change for each place that it names, none of them neutral. */
const places = fc.uniqueArray(
  entry.filter((each) =>
    each.kind === 'head-scale' ? each.scale !== 1 : each.delta.some((value) => value !== 0),
  ),
  {
    selector: placeOf,
    maxLength: 4,
  },
);

/** What they change, as text, in an order of its own. */
const textOf = (interventions: readonly Intervention[]): string =>
  interventions
    .map((each) =>
      each.kind === 'head-scale'
        ? JSON.stringify([each.layer, each.head, each.scale + 0])
        : JSON.stringify([
            'delta',
            each.layer,
            each.position,
            Array.from(each.delta, (value) => value + 0),
          ]),
    )
    .sort()
    .join();

test('different interventions have different keys', () => {
  fc.assert(
    fc.property(places, places, (some, others) => {
      expect(interventionKey(some) === interventionKey(others)).toBe(
        textOf(some) === textOf(others),
      );
    }),
  );
  // One number is changed, or a place.
  fc.assert(
    fc.property(places, entry, (some, more) => {
      fc.pre(!isNeutral([more]));
      fc.pre(!some.some((each) => placeOf(each) === placeOf(more)));
      expect(interventionKey([...some, more])).not.toBe(interventionKey(some));
    }),
  );
  const near = [
    switchingOff([[1, 23]]),
    switchingOff([[12, 3]]),
    switchingOff([
      [1, 2],
      [3, 4],
    ]),
    switchingOff([[1, 2]]),
    [{ kind: 'head-scale', layer: 1, head: 2, scale: 2 ** -20 }],
    [{ kind: 'residual-delta', layer: 1, position: 2, delta: Float32Array.of(0, 0, 1) }],
    [{ kind: 'residual-delta', layer: 1, position: null, delta: Float32Array.of(0, 0, 1) }],
    [{ kind: 'residual-delta', layer: 1, position: 2, delta: Float32Array.of(0, 1, 0) }],
    [{ kind: 'residual-delta', layer: 2, position: 2, delta: Float32Array.of(0, 0, 1) }],
    [{ kind: 'residual-delta', layer: 1, position: 0, delta: Float32Array.of(0, 0, 1) }],
    noInterventions,
  ] satisfies Interventions[];
  expect(new Set(near.map(interventionKey)).size).toBe(near.length);
});

test('what is fed is what they say, place by place', () => {
  fc.assert(
    fc.property(entries, (some) => {
      const feeds = interventionFeeds(ort, some, shape, whole);
      for (const [name, expected] of numbersOf(some)) {
        const got = fedFor(name, feeds[name]);
        const errors = expected.map((value, index) => Math.abs((got[index] ?? NaN) - value));
        expect(Math.max(...errors), name).toBeLessThan(1e-4);
      }
    }),
  );
});

test('a run that feeds the last tokens alone is fed their rows of the whole', () => {
  fc.assert(
    fc.property(entries, fc.nat(shape.context_length - 1), (some, start) => {
      const all = interventionFeeds(ort, some, shape, whole);
      const part = interventionFeeds(ort, some, shape, { start, end: shape.context_length });
      expect(Object.keys(part)).toEqual(Object.keys(all));
      for (const [name, tensor] of Object.entries(all)) {
        const perPosition = tensor.dims[1] === shape.context_length;
        const data = tensor.data as Float32Array;
        expect(part[name]?.data).toEqual(perPosition ? data.slice(start * shape.hidden) : data);
      }
    }),
  );
});

test('the inputs are the contract’s, by name, shape and neutral value', () => {
  const some: Interventions = [
    ...switchingOff([[3, 1]]),
    { kind: 'residual-delta', layer: 4, position: null, delta: Float32Array.of(1, 2, 3) },
    { kind: 'residual-delta', layer: 5, position: 2, delta: Float32Array.of(1, 2, 3) },
  ];
  const feeds = interventionFeeds(ort, some, shape, { start: 1, end: 5 });
  expect(Object.entries(feeds).map(([name, { dims }]) => [name, dims])).toEqual([
    ['layer_3_head_scale', [13]],
    ['layer_4_resid_delta', [1, 1, 3]],
    ['layer_5_resid_delta', [1, 4, 3]],
  ]);
  expect([...(feeds['layer_5_resid_delta']?.data as Float32Array)]).toEqual([
    0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0,
  ]);
  const names = contract.inputs.map(({ name }) => name);
  for (const name of Object.keys(feeds)) expect(names).toContain(name.replace(/_\d+_/, '_{L}_'));
});

test('none is neutral and feeds nothing', () => {
  expect(isNeutral(noInterventions)).toBe(true);
  expect(interventionFeeds(ort, noInterventions, shape, whole)).toEqual({});
  fc.assert(
    fc.property(fc.array(neutralEntry), (some) => {
      expect(isNeutral(some)).toBe(true);
      expect(interventionKey(some)).toBe(interventionKey(noInterventions));
      expect(interventionFeeds(ort, some, shape, whole)).toEqual({});
    }),
  );
  fc.assert(
    fc.property(places, (some) => {
      expect(isNeutral(some)).toBe(some.length === 0);
    }),
  );
});

const impossible: Interventions = [
  ...switchingOff([
    [0, shape.heads],
    [shape.layers, 0],
    [-1, 0],
    [0, 0.5],
  ]),
  { kind: 'head-scale', layer: 0, head: 0, scale: NaN },
  // Finite in JavaScript and infinite in the graph.
  { kind: 'head-scale', layer: 0, head: 0, scale: 1e39 },
  { kind: 'residual-delta', layer: shape.layers, position: null, delta: Float32Array.of(1, 1, 1) },
  { kind: 'residual-delta', layer: 0, position: null, delta: Float32Array.of(1, 1) },
  { kind: 'residual-delta', layer: 0, position: -1, delta: Float32Array.of(1, 1, 1) },
  { kind: 'residual-delta', layer: 0, position: 16, delta: Float32Array.of(1, 1, 1) },
  { kind: 'residual-delta', layer: 0, position: 0, delta: Float32Array.of(1, Infinity, 1) },
];

test.each(impossible)('$kind that the model cannot apply is refused: %o', (each) => {
  expect(() => interventionFeeds(ort, [each], shape, whole)).toThrow(RangeError);
  const fine = switchingOff([[1, 1]]);
  expect(applicable([...fine, each], shape)).toEqual(fine);
});

test('a head is switched off and back, whatever else is changed', () => {
  const delta: Intervention = {
    kind: 'residual-delta',
    layer: 1,
    position: null,
    delta: Float32Array.of(1, 0, 0),
  };
  const off = toggledHead([delta, ...switchingOff([[0, 1]])], [1, 2]);
  expect(headsOff(off)).toEqual([
    [0, 1],
    [1, 2],
  ]);
  const back = toggledHead(off, [0, 1]);
  expect(headsOff(back)).toEqual([[1, 2]]);
  expect(back).toContain(delta);
  // A link may name one twice.
  expect(
    headsOff(
      switchingOff([
        [0, 1],
        [0, 1],
      ]),
    ),
  ).toEqual([[0, 1]]);
  // A head at half is not off; switched off and back it is whole.
  const half: Interventions = [{ kind: 'head-scale', layer: 0, head: 1, scale: 0.5 }];
  expect(headsOff(half)).toEqual([]);
  expect(headsOff(toggledHead(half, [0, 1]))).toEqual([[0, 1]]);
  expect(isNeutral(toggledHead(toggledHead(half, [0, 1]), [0, 1]))).toBe(true);
});
