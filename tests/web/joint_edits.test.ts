// Interventions as edits of joints: which closings a session needs, and what its inputs are fed.
import fc from 'fast-check';
import * as ort from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { inputSpecs, jointSpecs } from '../../apps/web/src/contract/activation_table';
import type { ActivationsDocument, ClosingName } from '../../apps/web/src/contract/generated';
import {
  closedJoints,
  noSlots,
  placedEdits,
  slotsFor,
} from '../../apps/web/src/inference/closing_slots';
import { protocolOf } from '../../apps/web/src/inference/graph_protocols';
import {
  interventionKey,
  isNeutral,
  switchingOff,
  type Interventions,
  type JointClosing,
} from '../../apps/web/src/inference/interventions';
import type { ClosingTensor } from '../../apps/web/src/inference/joint_edit';
import { applicable, closingsNeeded, jointEdits } from '../../apps/web/src/inference/joint_edits';

const model = {
  layers: 3,
  hidden: 4,
  heads: 2,
  kv_heads: 1,
  head_dim: 2,
  intermediate: 6,
  vocab: 9,
  context_length: 12,
  parallel_residual: false,
};
const document: ActivationsDocument = {
  contract_version: '2.0',
  graph: 'open',
  model,
  inputs: inputSpecs(model, 'open', '2.0'),
  outputs: [],
  joints: jointSpecs(model),
};
const names = document.inputs.map(({ name }) => name);

const tensor = (dims: readonly number[], ...values: number[]): ClosingTensor => ({
  dims,
  data: Float32Array.from(values),
});
const closing = (
  name: ClosingName,
  tensors: JointClosing['tensors'],
  more: Partial<JointClosing> = {},
): JointClosing => ({
  kind: 'closing',
  joint: 'resid_post',
  layer: 1,
  closing: name,
  positions: null,
  tensors,
  ...more,
});
const keyOf = (some: Interventions): string => interventionKey(some, model.context_length);
const addOne = closing('add', { add: tensor([1, 1, 1], 1) });

function fedFor(some: Interventions, start: number, end: number): Record<string, ort.Tensor> {
  const slots = slotsFor(noSlots, closingsNeeded(some));
  return protocolOf(document).edited(ort, jointEdits(some, model, { start, end }), {
    document,
    slots,
    names,
  });
}

function numbers(given: ort.Tensor | undefined): { dims: readonly number[]; data: number[] } {
  if (given === undefined) throw new Error('it is not fed');
  return { dims: given.dims, data: Array.from(given.data as ArrayLike<number>) };
}

describe('slots', () => {
  const place = fc.record({
    joint: fc.constantFrom('resid_post' as const, 'resid_post' as const, 'attn_z' as const),
    layer: fc.nat(1),
    closing: fc.constantFrom<ClosingName>('add', 'scale', 'replace'),
  });

  test('what was provided serves what it was provided for, and what was there before', () => {
    fc.assert(
      fc.property(
        fc.array(place, { maxLength: 5 }),
        fc.array(place, { maxLength: 5 }),
        (before, now) => {
          const first = slotsFor(noSlots, before);
          const both = slotsFor(first, now);
          for (const edits of [before, now]) {
            expect(slotsFor(both, edits)).toBe(both);
            const placed = placedEdits(both, edits);
            for (const [edit, slot] of placed) {
              expect(both.get(edit.joint)?.[slot]).toBe(edit.closing);
              // Those of one joint stay in their order.
              const earlier = placed.filter(
                ([other]) => other.joint === edit.joint && other.layer === edit.layer,
              );
              const slots = earlier.map(([, each]) => each);
              expect(slots).toEqual([...new Set(slots)].sort((a, b) => a - b));
            }
          }
        },
      ),
    );
  });

  test('the next edit of a kind needs no other session, in whatever layer', () => {
    const slots = slotsFor(noSlots, closingsNeeded(switchingOff([[0, 1]])));
    expect([...slots]).toEqual([['attn_z', ['scale']]]);
    expect(
      slotsFor(
        slots,
        closingsNeeded(
          switchingOff([
            [2, 0],
            [1, 1],
          ]),
        ),
      ),
    ).toBe(slots);
    expect(slotsFor(slots, [])).toBe(slots);
    const closed = closedJoints(document.joints ?? [], slots).filter(
      ({ closings }) => closings.length > 0,
    );
    expect(closed.map(({ joint }) => joint.name)).toEqual(
      [0, 1, 2].map((layer) => `layer_${layer}_attn_z`),
    );
  });

  test('a closing that is there already is not added once more', () => {
    const at = (closing: ClosingName) => ({ joint: 'q', layer: 0, closing }) as const;
    const slots = slotsFor(noSlots, [at('add'), at('scale')]);
    expect(slotsFor(slots, [at('replace'), at('scale')]).get('q')).toEqual([
      'replace',
      'add',
      'scale',
    ]);
  });

  test('they do not pile up without end', () => {
    let slots = noSlots;
    for (const order of [
      ['add', 'scale', 'replace'],
      ['replace', 'scale', 'add'],
      ['scale', 'add', 'cap'],
      ['cap', 'swap', 'scale', 'replace'],
      ['swap', 'add', 'cap', 'project-out'],
    ] as const) {
      const edits = order.map((name) => ({ joint: 'q', layer: 0, closing: name }) as const);
      slots = slotsFor(slots, edits);
      expect(placedEdits(slots, edits).length).toBe(order.length);
      expect(slots.get('q')?.length).toBeLessThan(9);
    }
  });

  test('a joint of a newer minor version is left as it is', () => {
    const router = { name: 'layer_0_router', dtype: 'float32', shape: ['batch_size', 4] } as const;
    const slots = slotsFor(noSlots, closingsNeeded([addOne]));
    expect(closedJoints([{ ...router, shape: [...router.shape] }], slots)).toEqual([
      { joint: router, closings: [] },
    ]);
  });

  test('a session without edits has none of their inputs', () => {
    const session = { document, slots: noSlots, names };
    const { neutral, text } = protocolOf(document);
    const fed = { ...neutral(ort, session), ...text(ort, { ids: [1, 2], start: 0 }, session) };
    expect(new Set(Object.keys(fed))).toEqual(new Set(names));
  });
});

describe('what is fed', () => {
  test('a head that is off is a scale of its layer', () => {
    const feeds = fedFor(switchingOff([[1, 0]]), 2, 5);
    expect(Object.keys(feeds)).toEqual(['layer_1_attn_z/0/scale']);
    expect(numbers(feeds['layer_1_attn_z/0/scale'])).toEqual({ dims: [1, 2, 1, 1], data: [0, 1] });
  });

  test('a change of every token is one row, whatever is cached', () => {
    const feeds = fedFor([addOne], 3, 7);
    expect(numbers(feeds['layer_1_resid_post/0/add'])).toEqual({ dims: [1, 1, 1], data: [1] });
  });

  test('a change of some tokens is cut to those that are fed, neutral elsewhere', () => {
    const some = closing(
      'replace',
      {
        value: tensor([1, 2, 1], 5, 6),
        mask: { dims: [1, 1, 1], data: Uint8Array.of(1) },
      },
      { positions: { start: 2, end: 4 } },
    );
    const feeds = fedFor([some], 3, 6);
    expect(numbers(feeds['layer_1_resid_post/0/value'])).toEqual({
      dims: [1, 3, 1],
      data: [6, 0, 0],
    });
    expect(numbers(feeds['layer_1_resid_post/0/mask'])).toEqual({
      dims: [1, 3, 1],
      data: [1, 0, 0],
    });
    expect(feeds['layer_1_resid_post/0/mask']?.type).toBe('bool');
    const before = fedFor([some], 0, 2);
    expect(numbers(before['layer_1_resid_post/0/mask']).data).toEqual([0, 0]);
  });

  test('a cap of some tokens leaves the others alone, not capped at 0', () => {
    const some = closing(
      'cap',
      { direction: tensor([1, 1, 4], 1, 0, 0, 0), limit: tensor([1, 1, 1], -1) },
      { positions: { start: 1, end: 2 } },
    );
    const feeds = fedFor([some], 0, 3);
    expect(numbers(feeds['layer_1_resid_post/0/direction']).data).toEqual([
      ...[0, 0, 0, 0],
      ...[1, 0, 0, 0],
      ...[0, 0, 0, 0],
    ]);
  });

  test('a map of keys covers the first tokens, and grows neutral with the text', () => {
    const some = closing(
      'scale',
      { scale: tensor([1, 1, 1, 2], 0, 3) },
      { joint: 'attn_probs', layer: 0 },
    );
    const fed = (start: number, end: number): number[] =>
      numbers(fedFor([some], start, end)['layer_0_attn_probs/0/scale']).data;
    expect(fed(0, 2)).toEqual([0, 3]);
    expect(fed(1, 4)).toEqual([0, 3, 1, 1]);
    expect(fed(0, 1)).toEqual([0]);
  });

  test('the mask and the positions go on from the cache', () => {
    const session = { document, slots: noSlots, names };
    const fed = protocolOf(document).text(ort, { ids: [5, 6, 7, 8], start: 3 }, session);
    const plain = Object.entries(fed).map(([name, { dims, data }]) => [
      name,
      dims,
      Array.from(data as BigInt64Array, Number),
    ]);
    expect(plain).toEqual([
      ['input_ids', [1, 1], [8]],
      ['attention_mask', [1, 4], [1, 1, 1, 1]],
      ['position_ids', [1, 1], [3]],
      ['num_logits_to_keep', [], [1]],
    ]);
    // Where the runtime does not list it, it refuses to be fed it.
    const unlisted = { ...session, names: names.filter((name) => name !== 'num_logits_to_keep') };
    expect(
      Object.keys(protocolOf(document).text(ort, { ids: [1], start: 0 }, unlisted)),
    ).not.toContain('num_logits_to_keep');
  });
});

describe('the key', () => {
  test('of closings at one joint depends on their order, at two joints it does not', () => {
    const scale = closing('scale', { scale: tensor([1, 1, 1], 2) });
    const elsewhere = { ...scale, layer: 2 };
    expect(keyOf([addOne, scale])).not.toBe(keyOf([scale, addOne]));
    expect(keyOf([addOne, elsewhere])).toBe(keyOf([elsewhere, addOne]));
  });

  test('tells apart what differs in one number, shape, place or token', () => {
    const positions = { start: 0, end: 1 };
    const some: Interventions[] = [
      [addOne],
      [{ ...addOne, layer: 2 }],
      [{ ...addOne, joint: 'resid_mid' }],
      [{ ...addOne, positions }],
      [{ ...addOne, positions: { start: 0, end: 2 } }],
      [closing('add', { add: tensor([1, 1, 1], 1 + 2 ** -23) })],
      [closing('add', { add: tensor([1, 1, 4], 1, 1, 1, 1) })],
      [closing('scale', { scale: tensor([1, 1, 1], 3) })],
      [addOne, addOne],
      [{ edit: 'add', joint: 'resid_post', layer: 1, vector: Float32Array.of(1, 1, 1, 1) }],
      [],
    ];
    expect(new Set(some.map(keyOf)).size).toBe(some.length);
  });

  test('of a closing that changes nothing is that of none', () => {
    const neutral = [
      closing('identity', {}),
      closing('add', { add: tensor([1, 1, 1], 0) }),
      closing('scale', { scale: tensor([1, 1, 1], 1) }),
    ];
    expect(isNeutral(neutral)).toBe(true);
    expect(keyOf([...neutral, addOne])).toBe(keyOf([addOne]));
    expect(closingsNeeded(neutral)).toEqual([]);
  });
});

const mask = (...values: number[]): ClosingTensor => ({
  dims: [1, 1, values.length],
  data: Uint8Array.from(values),
});
const direction = tensor([1, 1, 4], 1, 0, 0, 0);

test.each<[string, JointClosing]>([
  ['a tensor that is no joint', { ...addOne, joint: 'final_norm' }],
  ['one that the graph has, but as no joint', { ...addOne, joint: 'mlp_pre' }],
  ['a layer that is not there', { ...addOne, layer: 3 }],
  ['a closing that is not there', { ...addOne, closing: 'double' as ClosingName }],
  ['a missing input', closing('replace', { mask: mask(1) })],
  [
    'an input of another closing',
    closing('add', { ...addOne.tensors, scale: tensor([1, 1, 1], 1) }),
  ],
  ['another rank', closing('add', { add: tensor([1, 1], 1) })],
  ['another width', closing('add', { add: tensor([1, 1, 3], 1, 1, 1) })],
  ['two texts', closing('add', { add: tensor([2, 1, 1], 1, 1) })],
  [
    'a row for each of two tokens, and none named',
    closing('add', { add: tensor([1, 2, 1], 1, 1) }),
  ],
  ['fewer numbers than it says', closing('add', { add: tensor([1, 1, 4], 1) })],
  ['numbers that are not finite', closing('add', { add: tensor([1, 1, 1], NaN) })],
  [
    'numbers where a mask belongs',
    closing('replace', { value: direction, mask: tensor([1, 1, 1], 1) }),
  ],
  ['a mask of 2', closing('replace', { value: direction, mask: mask(2) })],
  ['a wide amount', closing('project-out', { direction, amount: direction })],
  [
    'a direction along keys',
    closing(
      'project-out',
      { direction: tensor([1, 1, 1, 1], 1), amount: tensor([1, 1, 1, 1], 1) },
      { joint: 'attn_scores' },
    ),
  ],
  ['tokens that end before they begin', { ...addOne, positions: { start: 3, end: 3 } }],
  ['tokens beyond the context', { ...addOne, positions: { start: 0, end: 13 } }],
])('%s is refused', (_, each) => {
  expect(() => jointEdits([each], model, { start: 0, end: 4 })).toThrow(RangeError);
  expect(applicable([addOne, each], model)).toEqual([addOne]);
});

test('parallel blocks have no resid_mid to edit', () => {
  const each = { ...addOne, joint: 'resid_mid' } as const;
  expect(applicable([each], model)).toEqual([each]);
  expect(applicable([each], { ...model, parallel_residual: true })).toEqual([]);
});

describe('graphs that are closed', () => {
  const fed = { start: 0, end: 3 };
  const take = (graph: ActivationsDocument['graph'], some: Interventions): string[] => {
    const closed = { ...document, graph };
    const session = { document: closed, slots: noSlots, names };
    return Object.keys(protocolOf(closed).edited(ort, jointEdits(some, model, fed), session));
  };

  test('plain and decoder graphs take no edits', () => {
    for (const graph of ['plain', 'decoder'] as const) {
      expect(take(graph, [])).toEqual([]);
      expect(() => take(graph, [addOne])).toThrow(`a ${graph} graph takes no interventions`);
    }
  });

  test('one of contract 1.x takes what its inputs can say, and refuses all else', () => {
    const whole = closing('add', { add: direction });
    expect(take('interactive', [whole])).toEqual(['layer_1_resid_delta']);
    const scale = closing('scale', { scale: tensor([1, 2, 1, 1], 0, 2) }, { joint: 'attn_z' });
    expect(take('interactive', [scale])).toEqual(['layer_1_head_scale']);
    for (const each of [
      addOne,
      { ...whole, joint: 'resid_mid' as const },
      closing('scale', { scale: tensor([1, 1, 1], 2) }),
      closing('scale', { scale: tensor([1, 1, 1, 2], 0, 2) }, { joint: 'attn_z' }),
    ])
      expect(() => take('interactive', [each])).toThrow(RangeError);
    expect(() => take('interactive', [whole, whole])).toThrow(RangeError);
  });
});
