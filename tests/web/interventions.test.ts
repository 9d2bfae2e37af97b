// Interventions as one value: a key that follows from what they change, and the inputs that they become.
import fc from 'fast-check';
import * as ort from 'onnxruntime-web';
import { expect, test } from 'vitest';
import contract from '../../contracts/activations.json' with { type: 'json' };
import { noSlots } from '../../apps/web/src/inference/closing_slots';
import type { AddEdit, ScaleEdit } from '../../apps/web/src/inference/edits';
import { protocolOf } from '../../apps/web/src/inference/graph_protocols';
import {
  headsOff,
  interventionKey,
  isNeutral,
  noInterventions,
  switchingOff,
  toggledHead,
  type Interventions,
} from '../../apps/web/src/inference/interventions';
import type { Span } from '../../apps/web/src/inference/joint_edit';
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

/** A scale of one head, or a vector for one token or all: what graphs of contract 1.x take. */
type Intervention =
  | (ScaleEdit & { readonly head: number; readonly factor: number })
  | (AddEdit & { readonly position?: number; readonly vector: Float32Array });

const tokens = shape.context_length;
const keyOf = (some: Interventions): string => interventionKey(some, tokens);

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
const vector = fc
  .array(number, { minLength: shape.hidden, maxLength: shape.hidden })
  .map((values) => Float32Array.from(values));
const position = fc.nat(shape.context_length - 1);
const scale = { edit: fc.constant('scale' as const), joint: fc.constant('attn_z' as const), layer };
const add = { edit: fc.constant('add' as const), joint: fc.constant('resid_post' as const), layer };
const head = fc.nat(shape.heads - 1);

const entry: fc.Arbitrary<Intervention> = fc.oneof(
  fc.record({ ...scale, head, factor: number }),
  fc.record({ ...add, position, vector }),
  fc.record({ ...add, vector }),
);
const entries = fc.array(entry, { maxLength: 8 });

const zeros = fc.constantFrom(
  new Float32Array(shape.hidden),
  new Float32Array(shape.hidden).fill(-0),
);
const neutralEntry: fc.Arbitrary<Intervention> = fc.oneof(
  fc.record({ ...scale, head, factor: fc.constant(1) }),
  fc.record({ ...add, position, vector: zeros }),
  fc.record({ ...add, vector: zeros }),
  fc.record({ ...add, vector, strength: fc.constant(0) }),
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
      if (each.edit === 'scale') scale[each.head] = (scale[each.head] ?? 0) * each.factor;
      else
        for (const [index] of rows.entries())
          if (each.position === undefined || each.position === Math.floor(index / shape.hidden))
            rows[index] = (rows[index] ?? 0) + (each.vector[index % shape.hidden] ?? 0);
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
        expect(keyOf(shuffled)).toBe(keyOf(some));
        expect(interventionFeeds(ort, shuffled, shape, whole)).toEqual(
          interventionFeeds(ort, some, shape, whole),
        );
      },
    ),
  );
});

const placeOf = (each: Intervention): string =>
  JSON.stringify([each.edit, each.layer, each.edit === 'scale' ? each.head : each.position]);

test('rounding does not depend on the order either', () => {
  const deltas = [1e16, 1, -1e16].map((value): Intervention => ({
    edit: 'add',
    joint: 'resid_post',
    layer: 0,
    vector: Float32Array.of(value, 0, 0),
  }));
  const [big, one, small] = deltas as [Intervention, Intervention, Intervention];
  expect(keyOf([big, small, one])).toBe(keyOf([big, one, small]));
});

/** One change for each place that it names, none of them neutral. */
const places = fc.uniqueArray(
  entry.filter((each) =>
    each.edit === 'scale' ? each.factor !== 1 : each.vector.some((value) => value !== 0),
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
      each.edit === 'scale'
        ? JSON.stringify([each.layer, each.head, each.factor + 0])
        : JSON.stringify([
            'delta',
            each.layer,
            each.position,
            Array.from(each.vector, (value) => value + 0),
          ]),
    )
    .sort()
    .join();

test('different interventions have different keys', () => {
  fc.assert(
    fc.property(places, places, (some, others) => {
      expect(keyOf(some) === keyOf(others)).toBe(textOf(some) === textOf(others));
    }),
  );
  // One number is changed, or a place.
  fc.assert(
    fc.property(places, entry, (some, more) => {
      fc.pre(!isNeutral([more]));
      fc.pre(!some.some((each) => placeOf(each) === placeOf(more)));
      expect(keyOf([...some, more])).not.toBe(keyOf(some));
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
    [{ edit: 'scale', joint: 'attn_z', layer: 1, head: 2, factor: 2 ** -20 }],
    [{ edit: 'add', joint: 'resid_post', layer: 1, position: 2, vector: Float32Array.of(0, 0, 1) }],
    [{ edit: 'add', joint: 'resid_post', layer: 1, vector: Float32Array.of(0, 0, 1) }],
    [{ edit: 'add', joint: 'resid_post', layer: 1, position: 2, vector: Float32Array.of(0, 1, 0) }],
    [{ edit: 'add', joint: 'resid_post', layer: 2, position: 2, vector: Float32Array.of(0, 0, 1) }],
    [{ edit: 'add', joint: 'resid_post', layer: 1, position: 0, vector: Float32Array.of(0, 0, 1) }],
    noInterventions,
  ] satisfies Interventions[];
  expect(new Set(near.map(keyOf)).size).toBe(near.length);
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
    { edit: 'add', joint: 'resid_post', layer: 4, vector: Float32Array.of(1, 2, 3) },
    { edit: 'add', joint: 'resid_post', layer: 5, position: 2, vector: Float32Array.of(1, 2, 3) },
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
      expect(keyOf(some)).toBe(keyOf(noInterventions));
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
  { edit: 'scale', joint: 'attn_z', layer: 0, head: 0, factor: NaN },
  // Finite in JavaScript and infinite in the graph.
  { edit: 'scale', joint: 'attn_z', layer: 0, head: 0, factor: 1e39 },
  { edit: 'add', joint: 'resid_post', layer: shape.layers, vector: Float32Array.of(1, 1, 1) },
  { edit: 'add', joint: 'resid_post', layer: 0, vector: Float32Array.of(1, 1) },
  { edit: 'add', joint: 'resid_post', layer: 0, position: -17, vector: Float32Array.of(1, 1, 1) },
  { edit: 'add', joint: 'resid_post', layer: 0, position: 16, vector: Float32Array.of(1, 1, 1) },
  {
    edit: 'add',
    joint: 'resid_post',
    layer: 0,
    position: 0,
    vector: Float32Array.of(1, Infinity, 1),
  },
];

test.each(impossible)('$edit that the model cannot apply is refused: %o', (each) => {
  expect(() => interventionFeeds(ort, [each], shape, whole)).toThrow(RangeError);
  const fine = switchingOff([[1, 1]]);
  expect(applicable([...fine, each], shape)).toEqual(fine);
});

test('a head is switched off and back, whatever else is changed', () => {
  const delta: Intervention = {
    edit: 'add',
    joint: 'resid_post',
    layer: 1,
    vector: Float32Array.of(1, 0, 0),
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
  const half: Interventions = [{ edit: 'scale', joint: 'attn_z', layer: 0, head: 1, factor: 0.5 }];
  expect(headsOff(half)).toEqual([]);
  expect(headsOff(toggledHead(half, [0, 1]))).toEqual([[0, 1]]);
  expect(isNeutral(toggledHead(toggledHead(half, [0, 1]), [0, 1]))).toBe(true);
});

test('a head off at one token, or for another reason, is not a head that is off', () => {
  const place = { edit: 'scale', joint: 'attn_z', layer: 1 } as const;
  const others: Interventions = [
    { ...place, head: 2, position: 3 },
    { ...place, head: 2, neuron: 0 },
    { ...place },
    { ...place, joint: 'q', head: 2 },
    { edit: 'knock-out', layer: 1, head: 2, key: 0 },
  ];
  expect(headsOff(others)).toEqual([]);
  const several: Interventions = [...others, { ...place, head: [2, 4] }];
  expect(headsOff(several)).toEqual([
    [1, 2],
    [1, 4],
  ]);
  const back = toggledHead(several, [1, 2]);
  expect(headsOff(back)).toEqual([[1, 4]]);
  expect(back.slice(0, others.length)).toEqual(others);
});

test('positions from the end make another key for each length, others do not', () => {
  const place = { edit: 'scale', joint: 'mlp_act', layer: 1 } as const;
  for (const position of [-1, [0, -2], { start: -3 }, { stop: -1 }]) {
    const some: Interventions = [{ ...place, position }];
    expect(interventionKey(some, 5)).not.toBe(interventionKey(some, 6));
  }
  for (const position of [1, [0, 2], { start: 3 }, { start: 0, stop: 4 }]) {
    const some: Interventions = [{ ...place, position }];
    expect(interventionKey(some, 5)).toBe(interventionKey(some, 6));
  }
  expect(interventionKey([{ ...place, position: -1 }], 5)).toBe(
    interventionKey([{ ...place, position: 4 }], 5),
  );
});

test('the key tells apart every field of an edit, and says the same of what is the same', () => {
  const place = { edit: 'scale', joint: 'attn_probs', layer: 1 } as const;
  const feature = {
    ...({ edit: 'clamp', joint: 'q', layer: 1 } as const),
    ...{ encoder: [1], direction: [1], value: 1 },
  };
  const some: Interventions[] = [
    [{ ...place }],
    [{ ...place, head: 0 }],
    [{ ...place, head: [0, 1] }],
    [{ ...place, position: 0 }],
    [{ ...place, key: 0 }],
    [{ ...place, key: { start: 0, stop: 1 } }],
    [{ ...place, factor: 0.5 }],
    [{ ...place, layer: 2 }],
    [{ ...place, joint: 'attn_scores' }],
    [{ edit: 'replace', joint: 'attn_probs', layer: 1, value: 0 }],
    [{ edit: 'knock-out', layer: 1 }],
    [{ edit: 'cap', joint: 'q', layer: 1, direction: [1], limit: 0 }],
    [{ edit: 'project-out', joint: 'q', layer: 1, direction: [1] }],
    [{ edit: 'swap', joint: 'q', layer: 1, first: [1], second: [1] }],
    [{ ...feature }],
    [{ ...feature, head: 0 }],
    [{ ...feature, encoder: [2] }],
    [{ ...feature, bias: 1 }],
    [{ ...feature, threshold: 1 }],
    [{ ...feature, direction: [2] }],
    [{ ...feature, value: 2 }],
  ];
  expect(new Set(some.map(keyOf)).size).toBe(some.length);
  expect(keyOf([{ ...place, head: [1, 0, 1], factor: 0 }])).toBe(
    keyOf([{ ...place, head: [0, 1] }]),
  );
  expect(keyOf([{ ...feature, bias: 0, threshold: 0 }])).toBe(keyOf([feature]));
  expect(isNeutral([{ ...feature, direction: [0, 0] }])).toBe(true);
  expect(isNeutral([feature])).toBe(false);
  const add = { edit: 'add', joint: 'q', layer: 0 } as const;
  expect(keyOf([{ ...add, vector: [1, 2], strength: 1 }])).toBe(
    keyOf([{ ...add, vector: Float32Array.of(1, 2) }]),
  );
});
