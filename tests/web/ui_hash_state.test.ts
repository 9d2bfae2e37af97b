// An address says the same thing when it is read back, and nothing in it can break the page.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DEFAULT_THRESHOLDS } from '../../apps/web/src/analysis/head_roles';
import { SCORE_NAMES } from '../../apps/web/src/analysis/head_scores';
import { SWEPT } from '../../apps/web/src/analysis/swept_places';
import { oneLine } from '../../apps/web/src/contract/one_line';
import { LENS_MEASURES } from '../../apps/web/src/analysis/lens_measures';
import { LANGUAGES } from '../../apps/web/src/i18n/languages';
import type { KeptRun } from '../../apps/web/src/inference/kept_runs';
import type { ListedEdit } from '../../apps/web/src/inference/listed_edits';
import { FIELDS } from '../../apps/web/src/url/fields';
import {
  formatHash,
  NOTHING_LINKED,
  parseHash,
  readHash,
  type HashState,
} from '../../apps/web/src/url/hash_state';
import { misfits } from '../../apps/web/src/url/misfits';
import type { DictionaryRecord } from '../../apps/web/src/contract/generated';

const head = fc.tuple(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 99 }));

const part = fc.record({
  row: fc.integer({ min: 0, max: 999_999 }),
  column: fc.integer({ min: 0, max: 999_999 }),
  span: fc.integer({ min: 1, max: 999_999 }),
});

/** Names in the order in which links list them: by kind, each kind's layers upwards. */
const open = fc
  .tuple(
    fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { maxLength: 8 }),
    fc.uniqueArray(fc.integer({ min: 0, max: 9999 }), { maxLength: 3 }),
    fc.boolean(),
  )
  .map(([maps, streams, hasNorm]) => [
    ...maps.sort((a, b) => a - b).map((layer) => `layer_${layer}_attn_probs`),
    ...streams.sort((a, b) => a - b).map((layer) => `layer_${layer}_resid_post`),
    ...(hasNorm ? ['final_norm'] : []),
  ]);

const said = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });

const nullable = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(values);

const edit: fc.Arbitrary<ListedEdit> = fc
  .tuple(
    fc.oneof(
      fc.record({
        edit: fc.record({
          edit: fc.constant('scale' as const),
          joint: fc.constantFrom('attn_z', 'mlp_act' as const),
          layer: fc.nat(40),
          factor: fc.double({ min: -9, max: 9, noNaN: true }).map((value) => value + 0),
        }),
        from: fc.constant(null),
      }),
      fc.record({
        edit: fc.record({
          edit: fc.constant('knock-out' as const),
          layer: fc.nat(40),
          query: fc.nat(99),
          key: fc.nat(99),
        }),
        from: fc.constant(null),
      }),
      fc.record({
        edit: fc.record({
          edit: fc.constant('add' as const),
          joint: fc.constant('resid_post' as const),
          layer: fc.nat(40),
          vector: fc.constant(0),
          strength: fc.integer({ min: -9, max: 9 }).map((value) => value + 0),
        }),
        from: fc.oneof(
          fc.record({ difference: fc.tuple(said, said) }),
          fc.record({ unembedding: fc.tuple(fc.nat(99)) }),
          fc.record({ unembedding: fc.tuple(fc.nat(99), fc.integer({ min: 100, max: 199 })) }),
        ),
      }),
      fc.record({
        edit: fc.record({
          edit: fc.constant('replace' as const),
          joint: fc.constantFrom('mlp_output', 'attn_z' as const),
          layer: fc.nat(40),
          position: fc.nat(99),
          value: fc.constant(0),
        }),
        from: fc.oneof(fc.record({ text: said }), fc.record({ mean: said })),
      }),
    ),
    fc.boolean(),
  )
  .map(([entry, isOn]) => ({ ...entry, isOn }));

/** Runs that a link carries. */
const run: fc.Arbitrary<KeptRun> = fc
  .record({
    name: fc.string({ unit: 'grapheme', maxLength: 20 }),
    model: fc.record({
      name: fc.constantFrom('demo', '模型', '__proto__'),
      digest: fc.constantFrom('', `sha256:${'0a'.repeat(32)}`),
      listed: nullable(fc.constantFrom('tiny-llama', 'a/b')),
      address: nullable(fc.webUrl()),
      files: fc.constant(null),
    }),
    variant: fc.constantFrom('fp32', 'int8_static'),
    text: fc.string({ unit: 'grapheme', maxLength: 60 }),
    ids: nullable(fc.array(fc.nat(50_000), { minLength: 1, maxLength: 6 })),
    typed: nullable(fc.nat(9)),
    withoutFirst: fc.boolean(),
    edits: fc.array(edit, { maxLength: 2 }),
  })
  .map((any) => ({
    ...any,
    name: oneLine(any.name),
    typed: any.ids === null || any.typed === null ? null : Math.min(any.typed, any.ids.length),
  }));
const thousandths = fc.nat(1000).map((value) => value / 1000);
const headSet = fc
  .array(fc.constantFrom('0', '3', '0-11', '5.2', '11.3'), { maxLength: 4 })
  .map((parts) => parts.join(', '));

/** Every field with every kind of value, its default among them. A field without a row here is a type error. */
const state: fc.Arbitrary<HashState> = fc
  .record<HashState>({
    model: nullable(
      fc.oneof(
        fc.stringMatching(/^[a-z0-9-]{1,20}$/),
        fc.constantFrom('模型', 'modèle 2', 'Ω-100%', '小模型🦊', 'a/b', '+&=#', '__proto__'),
      ),
    ),
    variant: nullable(fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/)),
    compared: nullable(fc.constantFrom('fp32', 'int8_static', 'constructor')),
    other: nullable(
      fc.oneof(
        fc.constant({ kind: 'unedited' as const }),
        fc.record({
          kind: fc.constant('text' as const),
          text: fc.string({ unit: 'grapheme', maxLength: 80 }),
        }),
        fc.record({ kind: fc.constant('run' as const), index: fc.nat(999) }),
      ),
    ),
    prompt: nullable(fc.string({ unit: 'grapheme', maxLength: 80 })),
    ids: nullable(fc.array(fc.integer({ min: 0, max: 999_999_999 }), { minLength: 1 })),
    typed: nullable(fc.integer({ min: 0, max: 9 })),
    withoutFirst: fc.boolean(),
    token: nullable(fc.integer({ min: 0, max: 9999 })),
    head: nullable(head),
    headsOff: fc.array(head, { maxLength: 5 }),
    edits: fc.array(edit, { maxLength: 4 }),
    part: nullable(part),
    comparedPart: nullable(part),
    shown: nullable(fc.constantFrom('layer_3_mlp_act', 'embedding_sum', 'final_norm')),
    lens: nullable(fc.constantFrom('tuned', 'jacobian_2')),
    lensShown: fc.record({
      measure: fc.constantFrom(...LENS_MEASURES),
      token: fc.oneof(
        fc.constantFrom('predicted' as const, 'next' as const),
        fc.integer({ min: 0, max: 999_999_999 }),
      ),
    }),
    neuron: nullable(
      fc.tuple(fc.integer({ min: 0, max: 9999 }), fc.integer({ min: 0, max: 9_999_999 })),
    ),
    feature: nullable(
      fc.record({
        dictionary: fc.constantFrom('mlp_11', 'a'),
        feature: nullable(fc.nat(99_999_999)),
      }),
    ),
    unit: nullable(
      fc.record({
        kind: fc.constantFrom('mlp_act', 'attn_z', 'features_small'),
        layer: fc.nat(9999),
        unit: fc.nat(99_999_999),
      }),
    ),
    open: nullable(open),
    attributed: nullable(
      fc.record({
        answer: nullable(fc.nat(99_999)),
        other: fc.oneof(fc.nat(99_999), fc.constantFrom('second' as const, 'none' as const)),
        ...{ neuronsOf: nullable(fc.nat(99)), key: nullable(fc.nat(9999)) },
      }),
    ),
    sweep: nullable(
      fc.record({
        text: said,
        over: fc.constantFrom(...SWEPT),
        metric: fc.constantFrom('logit-difference', 'divergence' as const),
        ...{ answer: fc.string({ maxLength: 20 }), other: fc.constantFrom('', ' 模型') },
      }),
    ),
    tree: nullable(
      fc.record({ depth: fc.integer({ min: 1, max: 12 }), width: fc.integer({ min: 1, max: 8 }) }),
    ),
    language: nullable(fc.constantFrom(...LANGUAGES)),
    provider: nullable(fc.constantFrom('webgpu', 'wasm')),
    root: nullable(fc.boolean()),
    overview: fc.record({
      measured: fc.constantFrom('repeats', 'text', null),
      seed: fc.integer({ min: 0, max: 999_999 }),
      by: nullable(fc.constantFrom(...SCORE_NAMES)),
      roles: fc.uniqueArray(fc.constantFrom(...SCORE_NAMES)),
      only: headSet,
      thresholds: fc.record({
        previous_token: thousandths,
        first_token: thousandths,
        duplicate_token: thousandths,
        induction: thousandths,
        entropy: fc.nat(20_000).map((value) => value / 1000),
      }),
    }),
    attention: fc.record({
      kind: fc.constantFrom('attn_probs', 'attn_scores', 'weighted'),
      over: fc.constantFrom('head', 'mean', 'max'),
      set: headSet,
      log: fc.boolean(),
    }),
    folded: fc.uniqueArray(fc.constantFrom('attention', 'lens', 'facts')),
    alone: nullable(fc.constantFrom('attention', 'lens', 'facts')),
    runs: fc.record({ runs: fc.array(run, { maxLength: 3 }), leftOut: fc.nat(99) }),
    lesson: nullable(fc.constantFrom('tour', 'https://school.example/a%20b.json?x=1&y=#z')),
    lessonStep: nullable(fc.integer({ min: 0, max: 999_999 })),
    theme: nullable(fc.constantFrom('light', 'dark')),
    embed: fc.boolean(),
    sampling: fc.record({
      temperature: fc.double({ min: 0, max: 2, noNaN: true }).map((value) => value + 0),
      topK: fc.nat(),
      topP: fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true }),
      minP: fc.double({ min: 0, max: 1, noNaN: true }),
      seed: nullable(fc.nat(2 ** 32 - 1)),
    }),
  })
  // A number of typed ids says nothing without the ids.
  .map((any) => ({
    ...any,
    typed: any.ids === null || any.typed === null ? null : Math.min(any.typed, any.ids.length),
  }));

test('what is written is read back', () => {
  fc.assert(
    fc.property(state, (wanted) => {
      const read = { state: wanted, ignored: [], isNewer: false };
      expect(readHash(`#${formatHash(wanted)}`)).toEqual(read);
    }),
  );
});

test('a link of the defaults is empty', () => {
  expect(formatHash(NOTHING_LINKED)).toBe('');
  expect(readHash('')).toEqual({ state: NOTHING_LINKED, ignored: [], isNewer: false });
});

/** Links as the page wrote them before they had a version, with the states that they stand for. */
test.each<[string, Partial<HashState>]>([
  [
    '#v=q8&vs=int8_static&p=The+dog&t=2&h=5.1&off=5.2_0.3&z=3.4.20&a=layer_3_mlp_act',
    {
      ...{ variant: 'q8', compared: 'int8_static', prompt: 'The dog', token: 2, head: [5, 1] },
      headsOff: [
        [5, 2],
        [0, 3],
      ],
      part: { row: 3, column: 4, span: 20 },
      shown: 'layer_3_mlp_act',
    },
  ],
  [
    '#model=tiny-llama&p=a&ids=5.6.7&typed=1&first=no&open=attn_probs%3A0-1%3Bfinal_norm',
    {
      ...{ model: 'tiny-llama', prompt: 'a', ids: [5, 6, 7], typed: 1, withoutFirst: true },
      open: ['layer_0_attn_probs', 'layer_1_attn_probs', 'final_norm'],
    },
  ],
  [
    '#s=0.35_40_1&lang=zh&on=wasm&c=root&zvs=0.0.8',
    {
      sampling: { temperature: 0.35, topK: 40, topP: 1, minP: 0, seed: null },
      ...{ language: 'zh', provider: 'wasm', root: true },
      comparedPart: { row: 0, column: 0, span: 8 },
    },
  ],
])('the older link %s opens what it did', (hash, wanted) => {
  const state = { ...NOTHING_LINKED, ...wanted };
  expect(readHash(hash)).toEqual({ state, ignored: [], isNewer: false });
});

test('a link of a later version is read as far as it goes', () => {
  const { state, ignored, isNewer } = readHash('#link=2&p=a&later=1');
  expect([state.prompt, isNewer]).toEqual(['a', true]);
  expect(ignored).toEqual([{ name: null, key: 'later', text: '1' }]);
  expect(readHash('#link=1&p=a').isNewer).toBe(false);
  for (const version of ['', '0', '-1', 'x', '1e9', '9999999'])
    expect(readHash(`#link=${version}&p=a`).ignored.map(({ key }) => key)).toEqual(['link']);
});

test.each<[string, Partial<HashState>, readonly string[]]>([
  ['t=x&p=a', { prompt: 'a' }, ['t=x']],
  [
    'off=0.1_x_2.3_4',
    {
      headsOff: [
        [0, 1],
        [2, 3],
      ],
    },
    ['off=x', 'off=4'],
  ],
  [
    'open=attn_probs:0,x,3-2;nothing:1;final_norm',
    { open: ['layer_0_attn_probs', 'final_norm'] },
    ['open=attn_probs:x', 'open=attn_probs:3-2', 'open=nothing:1'],
  ],
  ['open=', { open: [] }, []],
  [
    'open=layer_1_expert_ids;layer_1_nothing;attn_probs:0',
    { open: ['layer_1_expert_ids', 'layer_0_attn_probs'] },
    ['open=layer_1_nothing'],
  ],
  ['t=1&t=2', { token: 1 }, ['t=2']],
  ['p=a&typed=2', { prompt: 'a' }, ['typed=2']],
  ['p=a&ids=5.6&typed=9', { prompt: 'a', ids: [5, 6], typed: 2 }, ['typed=9']],
  ['first=yes&s=1_1&s=', {}, ['first=yes', 's=1_1', 's=']],
  ['s=1__1', {}, ['s=1__1']],
  ['cells=rank.next.2', {}, ['cells=rank.next.2']],
  ['cells=beauty', {}, ['cells=beauty']],
  ['fold=lens.L0.lens&only=..', { folded: ['lens'] }, ['fold=L0', 'only=..']],
  ['s=1_1_1_1_1_1', {}, ['s=1_1_1_1_1_1']],
  ['s=1_1_1_2', {}, ['s=1_1_1_2']],
  ['s=1_1_1_0_0.5', {}, ['s=1_1_1_0_0.5']],
  ['s=1_1_1_0_4294967296', {}, ['s=1_1_1_0_4294967296']],
  [
    'attr=120_second_n3_x_n4&tree=13.2',
    { attributed: { answer: 120, other: 'second', neuronsOf: 3, key: null } },
    ['attr=x', 'attr=n4', 'tree=13.2'],
  ],
  ['attr=best_third', {}, ['attr=best_third']],
  ['feature=mlp_11.', {}, ['feature=mlp_11.']],
  ['feature=mlp-11.3', {}, ['feature=mlp-11.3']],
  [
    'sweep={"text":"a","over":"hats","metric":"divergence","answer":5,"seed":1}',
    {
      sweep: { ...{ text: 'a', over: 'stream', metric: 'divergence' }, answer: '', other: '' },
    },
    ['sweep={"over":"hats"}', 'sweep={"answer":5}', 'sweep={"seed":1}'],
  ],
  ['sweep={"over":"heads"}&tree=4', {}, ['sweep={"over":"heads"}', 'tree=4']],
  ['utm=news&p=a', { prompt: 'a' }, ['utm=news']],
  ['__proto__=1&constructor=2&p=a', { prompt: 'a' }, ['__proto__=1', 'constructor=2']],
  // A place on the page.
  ['compare', {}, []],
])('“%s” opens what it can, and what is ignored is told', (hash, wanted, told) => {
  const { state, ignored } = readHash(`#${hash}`);
  expect(state).toEqual({ ...NOTHING_LINKED, ...wanted });
  expect(ignored.map(({ key, text }) => `${key}=${text}`)).toEqual(told);
});

test('a link that lists activations without end costs nothing', () => {
  const runs = Array.from({ length: 9000 }, () => '0-9999').join(',');
  const { state, ignored } = readHash(`#open=attn_probs:${runs}`);
  expect(state.open?.length).toBe(10_000);
  expect(ignored.length).toBe(8998);
});

const shape = {
  ...{ layers: 2, heads: 4, kv_heads: 4, head_dim: 8, hidden: 32, intermediate: 64, vocab: 100 },
  ...{ context_length: 16, parallel_residual: false },
};

test('what a link says of another model or text is found', () => {
  const opened = {
    ...{ shape, variants: ['fp32', 'q8'], lenses: ['logit', 'tuned'], tokens: 3 },
    views: ['lens', 'facts'],
    units: [{ kind: 'mlp_act', layer: 1, units: 64, path: 'mlp_act_1.json' }],
    // Only what is compared of it.
    dictionaries: [{ name: 'mlp_1', description: { features: 8 } } as DictionaryRecord],
  };
  const of = (hash: string): string[] =>
    misfits(parseHash(hash), opened).map(({ key, text }) => `${key}=${text}`);
  expect(of('unit=mlp_act.1.63')).toEqual([]);
  for (const unit of ['mlp_act.0.1', 'mlp_act.1.64', 'attn_z.1.1'])
    expect(of(`unit=${unit}`)).toEqual([`unit=${unit}`]);
  expect(of('feature=mlp_1')).toEqual([]);
  expect(of('feature=mlp_1.7')).toEqual([]);
  for (const feature of ['mlp_1.8', 'mlp_2', 'mlp_2.0'])
    expect(of(`feature=${feature}`)).toEqual([`feature=${feature}`]);
  expect(of('#vs=q8&t=2&h=1.3&off=0.0_1.3&a=layer_1_mlp_act')).toEqual([]);
  expect(of('#vs=q4')).toEqual(['vs=q4']);
  expect(of('#lens=tuned')).toEqual([]);
  expect(of('#lens=logit')).toEqual([]);
  expect(of('#lens=prism')).toEqual(['lens=prism']);
  expect(of('#n=1.2')).toEqual([]);
  expect(of('#n=1.999999')).toEqual(['n=1.999999']);
  expect(of('#cells=rank.next')).toEqual([]);
  expect(of(`#cells=rank.${shape.vocab}`)).toEqual([`cells=rank.${shape.vocab}`]);
  expect(of('#t=3')).toEqual(['t=3']);
  expect(of('#h=2.0')).toEqual(['h=2.0']);
  expect(of('#h=0.4')).toEqual(['h=0.4']);
  expect(of('#off=0.0_2.0_1.9')).toEqual(['off=2.0_1.9']);
  expect(of('#a=layer_2_mlp_act')).toEqual(['a=layer_2_mlp_act']);
  expect(of('#attr=99_second_n1_k2')).toEqual([]);
  for (const attributed of ['100_none', 'best_100', 'best_none_n2', 'best_none_k3'])
    expect(of(`#attr=${attributed}`)).toEqual([`attr=${attributed}`]);
  expect(of('#fold=facts.lens&only=lens')).toEqual([]);
  expect(of('#fold=facts.nowhere&only=none')).toEqual(['fold=nowhere', 'only=none']);
});

test('open activations are written by kind and ranges of layers', () => {
  const open = [0, 1, 2, 5].map((layer) => `layer_${layer}_attn_probs`).concat('final_norm');
  const hash = formatHash({ open });
  expect(decodeURIComponent(hash)).toBe('link=1&open=attn_probs:0-2,5;final_norm');
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
    expect(parseHash(`#${key}=${text}`)).toEqual({ ...NOTHING_LINKED, [name]: part });
    expect(formatHash({ [name]: part })).toBe(`link=1&${key}=${text}`);
  }
});

test.each([
  ...['', '3', '3.4', '3.4.0', '3.4.00', '-1.4.20', '3.4.-20', '3.4.20.5', '1e3.4.20', '0x3.4.20'],
  ...[' 3.4.20', '3.4.1000000', '3.4.NaN', '3.4.Infinity', '٣.4.20', '3,4,20'],
])('“%s” is no part of a map', (text) => {
  for (const [key] of partKeys)
    expect(readHash(`#${key}=${encodeURIComponent(text)}`)).toMatchObject({
      state: NOTHING_LINKED,
      ignored: [{ key, text }],
    });
});

test('how heads and attention are shown is written in words, and nothing else is read', () => {
  const attention = { kind: 'weighted', over: 'mean', log: true, set: '0-3, 5.2' } as const;
  expect(formatHash({ attention })).toBe('link=1&map=weighted_mean_log_0-3_5.2');
  const overview = {
    ...({ measured: 'text', seed: 7, by: 'induction', roles: ['entropy'], only: '2' } as const),
    thresholds: { ...DEFAULT_THRESHOLDS, induction: 0.25 },
  };
  const text = 'text_7_induction_focus_250.400.400.400.500_2';
  expect(formatHash({ overview })).toBe(`link=1&heads=${text}`);
  expect(parseHash(`#heads=${text}`)).toEqual({ ...NOTHING_LINKED, overview });
  for (const [key, wrong] of [
    ...[
      'weighted_mean_log_x',
      'weights_mean_log',
      'probs_sum_log',
      'probs_mean',
      'probs_mean_log_',
    ].map((map) => ['map', map] as const),
    ...[
      'text_7_induction_focus_250.400.400.400',
      'text_7_induction_focus_1001.400.400.400.500',
      'text_7_induction_nothing_250.400.400.400.500',
      'text_x_induction_all_250.400.400.400.500',
      'mine_7_induction_all_250.400.400.400.500',
    ].map((heads) => ['heads', heads] as const),
  ])
    expect(readHash(`#${key}=${wrong}`)).toMatchObject({
      state: NOTHING_LINKED,
      ignored: [{ key, text: wrong }],
    });
});

test('what makes no sense is left out', () => {
  const hash =
    '#model=x%00y&v=../q8&vs=Q8!&t=-1&h=1&off=a.b&a=layer_x_q&open=nothing:1&s=9_1_1&lang=xx&on=cpu&c=red';
  const { state, ignored } = readHash(hash);
  expect(state).toEqual(NOTHING_LINKED);
  expect(ignored.length).toBe(hash.split('&').length);
  expect(parseHash('#%')).toEqual(NOTHING_LINKED);
});

test('no address breaks the page, and whatever is kept of it is written and read again', () => {
  const keys = Object.values(FIELDS).map(({ key }) => key);
  const hostile = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc
      .array(
        fc.tuple(
          fc.oneof(fc.constantFrom(...keys, 'link'), fc.string()),
          fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-z._:;,%-]{0,20}$/)),
        ),
      )
      .map((fields) => fields.map(([key, text]) => `${key}=${text}`).join('&')),
  );
  fc.assert(
    fc.property(hostile, (hash) => {
      const { state } = readHash(hash);
      const again = readHash(`#${formatHash(state)}`);
      expect(again.ignored).toEqual([]);
      expect(again.state).toEqual({ ...state, open: again.state.open });
      expect(new Set(again.state.open)).toEqual(
        new Set(state.open?.filter((name) => name !== 'logits')),
      );
    }),
  );
});
