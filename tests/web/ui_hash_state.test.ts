// An address says the same thing when it is read back, and nothing in it can break the page.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatHash, parseHash, type HashState } from '../../apps/web/src/url/hash_state';

const head = fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }));

const state = fc.record<HashState>(
  {
    model: fc.oneof(
      fc.stringMatching(/^[a-z0-9-]{1,20}$/),
      fc.constantFrom('模型', 'modèle 2', 'Ω-100%', '小模型🦊', 'a/b', '+&=#'),
    ),
    variant: fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/),
    compared: fc.constantFrom('fp32', 'int8_static'),
    prompt: fc.string({ unit: 'grapheme', maxLength: 80 }),
    token: fc.integer({ min: 0, max: 9999 }),
    head,
    headsOff: fc.array(head, { minLength: 1, maxLength: 5 }),
    shown: fc.constantFrom('layer_3_mlp_act', 'embedding_sum', 'final_norm'),
    language: fc.constantFrom('en', 'zh'),
    provider: fc.constantFrom('webgpu', 'wasm'),
    root: fc.boolean(),
    sampling: fc.record({
      temperature: fc.constantFrom(0, 0.35, 1, 2),
      topK: fc.constantFrom(0, 1, 40),
      topP: fc.constantFrom(0.05, 0.95, 1),
    }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<HashState>;

test('what is written is read back', () => {
  fc.assert(
    fc.property(state, (wanted) => {
      expect(parseHash(`#${formatHash(wanted)}`)).toEqual(wanted);
    }),
  );
});

test('open activations are written by kind and ranges of layers', () => {
  const open = [0, 1, 2, 5].map((layer) => `layer_${layer}_attn_probs`).concat('final_norm');
  const hash = formatHash({ open });
  expect(decodeURIComponent(hash)).toBe('open=attn_probs:0-2,5;final_norm');
  expect(parseHash(hash).open).toEqual(open);
});

test('what makes no sense is left out', () => {
  expect(
    parseHash(
      '#model=x%00y&v=../q8&vs=Q8!&t=-1&h=1&off=a.b&a=layer_x_q&open=nothing:1&s=9_1_1&lang=xx&on=cpu&c=red',
    ),
  ).toEqual({});
  expect(parseHash('#%')).toEqual({});
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (hash) => {
      parseHash(hash);
    }),
  );
});
