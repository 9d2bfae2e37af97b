// An address says the same thing when it is read back, and nothing in it can break the page.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatHash, parseHash, type HashState } from '../../apps/web/src/url/hash_state';

const head = fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }));

const part = fc.record({
  row: fc.integer({ min: 0, max: 999_999 }),
  column: fc.integer({ min: 0, max: 999_999 }),
  span: fc.integer({ min: 1, max: 999_999 }),
});

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
    part,
    comparedPart: part,
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

const partKeys = [
  ['z', 'part'],
  ['zvs', 'comparedPart'],
] as const;

test.each([
  ['3.4.20', { row: 3, column: 4, span: 20 }],
  // Too far for any text: the map keeps it inside its own.
  ['999999.999999.999999', { row: 999_999, column: 999_999, span: 999_999 }],
])('the part %s of a map is read and written', (text, part) => {
  for (const [key, name] of partKeys) {
    expect(parseHash(`#${key}=${text}`)).toEqual({ [name]: part });
    expect(formatHash({ [name]: part })).toBe(`${key}=${text}`);
  }
});

test.each([
  ...['', '3', '3.4', '3.4.0', '3.4.00', '-1.4.20', '3.4.-20', '3.4.20.5', '1e3.4.20', '0x3.4.20'],
  ...[' 3.4.20', '3.4.1000000', '3.4.NaN', '3.4.Infinity', '٣.4.20', '3,4,20'],
])('“%s” is no part of a map', (text) => {
  for (const [key] of partKeys)
    expect(parseHash(`#${key}=${encodeURIComponent(text)}`)).toEqual({});
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
