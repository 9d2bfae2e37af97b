// The list of edits without a browser: what the form's fields mean, what a sentence says, and what a link keeps of it.
import { expect, test } from 'vitest';
import type { ModelShape } from '../../apps/web/src/contract/generated';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import {
  fits,
  fitsLink,
  formatListed,
  headOff,
  listed,
  parseListed,
  textNumbersOf,
  withHeadToggled,
  withNumbers,
  type ListedEdit,
} from '../../apps/web/src/inference/listed_edits';
import { EditList } from '../../apps/web/src/session/edit_list.svelte';
import type { AskedSweep } from '../../apps/web/src/session/patch_sweeps.svelte';
import {
  checkTogether,
  fieldsOf,
  FormError,
  newFields,
  readForm,
  type FormFields,
  type Problem,
} from '../../apps/web/src/views/interventions/edit_form';
import { strengthOf, withStrength } from '../../apps/web/src/views/interventions/edit_strength';
import { editWords } from '../../apps/web/src/views/interventions/edit_words';
import { cellsOf, patchAt } from '../../apps/web/src/views/interventions/sweep_map';

const shape: ModelShape = {
  ...{ layers: 4, heads: 3, kv_heads: 3, head_dim: 2, hidden: 6, intermediate: 12, vocab: 50 },
  ...{ context_length: 20, parallel_residual: false },
};
const { en, zh } = DICTIONARIES;

function filled(changes: Partial<FormFields>): FormFields {
  return { ...newFields(8), ...changes };
}

function problemOf(changes: Partial<FormFields>): Problem & { field: string } {
  try {
    readForm(filled(changes), shape);
  } catch (error) {
    if (error instanceof FormError) return { ...error.problem, field: error.field };
    throw error;
  }
  throw new Error('nothing was refused');
}

test.each<[Partial<FormFields>, ListedEdit['edit'], ListedEdit['from'], string, string]>([
  [
    { layer: '2', head: '1' },
    { edit: 'scale', joint: 'attn_z', layer: 2, head: 1, factor: 0 },
    null,
    'Head 1 in layer 2 off, at every position',
    '关闭第 2 层的头 1，所有位置',
  ],
  [
    { part: 'neuron', neuron: '11', factor: '−1.5', positions: '7, 3-5' },
    { edit: 'scale', joint: 'mlp_act', layer: 0, neuron: 11, factor: -1.5, position: [3, 4, 5, 7] },
    null,
    'Neuron 11 in layer 0 × −1.5, at positions 3, 4, 5, 7',
    '第 0 层的神经元 11 乘以 −1.5，位置 3, 4, 5, 7',
  ],
  [
    { part: 'mlp', layer: '3', positions: '4–' },
    { edit: 'scale', joint: 'mlp_output', layer: 3, factor: 0, position: { start: 4 } },
    null,
    'The MLP of layer 3 off, from position 4 on',
    '关闭第 3 层的整个 MLP，从位置 4 起',
  ],
  [
    { kind: 'knock-out', layer: '1', head: '', query: '7', key: '2' },
    { edit: 'knock-out', layer: 1, query: 7, key: 2 },
    null,
    'Layer 1: position 7 can’t look at position 2',
    '第 1 层：位置 7 看不到位置 2',
  ],
  [
    { kind: 'steer', layer: '1', towards: 'A', away: 'B', strength: '4', positions: '0' },
    { edit: 'add', joint: 'resid_post', layer: 1, vector: 0, strength: 4, position: 0 },
    { difference: ['A', 'B'] },
    'Steer the residual stream after layer 1 by 4 × (“A” − “B”), at position 0',
    '引导第 1 层之后的残差流：加上 4 ×（“A” − “B”），位置 0',
  ],
  [
    { kind: 'steer', direction: 'numbers', numbers: '[1, 2, 3,\n4 5 6e-1]' },
    { edit: 'add', joint: 'resid_post', layer: 0, vector: [1, 2, 3, 4, 5, 0.6], strength: 4 },
    null,
    'Steer the residual stream after layer 0 by 4 × a pasted vector of 6 numbers, at every position',
    '引导第 0 层之后的残差流：加上 4 × 粘贴的 6 维向量，所有位置',
  ],
  [
    { kind: 'mean', part: 'attention', layer: '2', reference: 'Once' },
    { edit: 'replace', joint: 'attn_output', layer: 2, value: 0 },
    { mean: 'Once' },
    'The attention of layer 2 at its mean over “Once”, at every position',
    '第 2 层的整个注意力换成它在“Once”上的均值，所有位置',
  ],
])(
  'fields %j are an edit, its sentence, and the same fields again',
  (changes, edit, from, a, b) => {
    const entry = { ...readForm(filled(changes), shape), isOn: true };
    expect(entry).toEqual({ edit, from, isOn: true });
    expect(editWords(entry, en)).toBe(a);
    expect(editWords(entry, zh)).toBe(b);
    const again = fieldsOf(entry, 8);
    if (again === null) throw new Error('the form has no fields for it');
    expect(readForm(again, shape)).toEqual({ edit, from });
  },
);

test('a feature that is set is said, changed in its row, and in no link', () => {
  const numbers = { encoder: [1, 0, 0, 0, 2, 1], direction: Float32Array.of(0, 1, 0, 0, 0, 0) };
  const place = { edit: 'clamp', joint: 'mlp_output', layer: 3 } as const;
  const entry = listed({ ...place, ...numbers, value: -1.5, position: 4 });
  expect(editWords(entry, en)).toBe('A feature of the MLP of layer 3 set to −1.5, at position 4');
  expect(editWords(entry, zh)).toBe('将第 3 层的整个 MLP 的一个特征设为 −1.5，位置 4');
  expect(fits(entry, shape)).toBe(true);
  expect(fits(listed({ ...place, ...numbers, encoder: [1], value: 0 }), shape)).toBe(false);
  // The form has no fields for an encoder.
  expect(fieldsOf(entry, 8)).toBeNull();
  expect(fitsLink(entry)).toBe(false);
  expect(formatListed([entry])).toBe('[]');
  const named = { ...entry, from: { feature: { dictionary: 'mlp_3', feature: 17 } } };
  expect(editWords(named, en)).toBe(
    'Feature 17 of mlp_3 set to −1.5 in the MLP of layer 3, at position 4',
  );
  expect(editWords(named, zh)).toBe('在第 3 层的整个 MLP 将 mlp_3 的特征 17 设为 −1.5，位置 4');
  expect(withStrength(named, 2).from).toEqual(named.from);
  expect(fitsLink(named)).toBe(false);
  expect(strengthOf(entry)).toMatchObject({ value: -1.5 });
  expect(withStrength(entry, 7).edit).toEqual({ ...entry.edit, value: 7 });
});

test('a feature that is added is said, has its own numbers, and is in no link', () => {
  const edit = { edit: 'add', layer: 1, strength: 2 } as const;
  const from = { feature: { dictionary: 'res_1', feature: 17 } };
  const vector = Float32Array.of(1, 2, 3, 4, 5, 6);
  const entry = listed({ ...edit, joint: 'resid_post', vector }, from);
  expect(editWords(entry, en)).toBe(
    'Steer the residual stream after layer 1 by 2 × feature 17 of res_1, at every position',
  );
  expect(editWords(entry, zh)).toBe('引导第 1 层之后的残差流：加上 2 × res_1 的特征 17，所有位置');
  expect(fieldsOf(entry, 8)).toBeNull();
  expect(fitsLink(entry)).toBe(false);
  expect(textNumbersOf(entry)).toBeNull();
  const list = new EditList();
  list.entries = [entry];
  expect(list.active).toEqual([entry.edit]);
  expect(list.lacking).toEqual([]);
});

test('the number of a row is an edit’s own, and what is no number changes nothing', () => {
  const scale = listed({ edit: 'scale', joint: 'attn_z', layer: 0, head: 1 });
  expect(strengthOf(scale)).toMatchObject({ value: 0, most: 2 });
  expect(withStrength(scale, 0.5).edit).toMatchObject({ factor: 0.5 });
  expect(withStrength(scale, NaN)).toBe(scale);
  const add = { edit: 'add', joint: 'resid_post', layer: 1, vector: 0 } as const;
  expect(strengthOf(listed(add))).toMatchObject({ value: 1, most: 10 });
  expect(strengthOf(listed(add, { unembedding: [7] }))).toMatchObject({ most: 200 });
  expect(withStrength(listed(add), 3).edit).toMatchObject({ strength: 3 });
  const blind = listed({ edit: 'knock-out', layer: 1, query: 3, key: 1 });
  expect(strengthOf(blind)).toBeNull();
  expect(withStrength(blind, 1)).toBe(blind);
});

test('a direction of tokens is read by their ids, said by their texts, and kept in a link', () => {
  const fields = filled({ kind: 'steer', direction: 'tokens', layer: '2', strength: '12' });
  const both = { ...readForm(fields, shape, [7, 9]), isOn: true };
  const edit = { edit: 'add', joint: 'resid_post', layer: 2, vector: 0, strength: 12 };
  expect(both).toEqual({ edit, from: { unembedding: [7, 9] }, isOn: true });
  const labelOf = (id: number): string => (id === 7 ? '␣Anna' : '␣Ben');
  expect(editWords(both, en, labelOf)).toBe(
    'Steer the residual stream after layer 2 by 12 × the unembedding direction of “␣Anna” − “␣Ben”, at every position',
  );
  expect(editWords(both, zh, labelOf)).toBe(
    '引导第 2 层之后的残差流：加上 12 ×（“␣Anna” − “␣Ben”）的反嵌入方向，所有位置',
  );
  const one = { ...readForm(fields, shape, [7]), isOn: true };
  expect(editWords(one, en)).toContain('the unembedding direction of “#7”, at');
  expect(fieldsOf(both, 8)).toMatchObject({ direction: 'tokens', token: '7', minus: '9' });
  const ignored: string[] = [];
  for (const entry of [both, one]) {
    expect(fitsLink(entry)).toBe(true);
    expect(parseListed(formatListed([entry]), (part) => ignored.push(part))).toEqual([entry]);
    expect(fits(entry, shape)).toBe(true);
  }
  expect(fits({ ...one, from: { unembedding: [50] } }, shape)).toBe(false);
  for (const bad of ['[]', '[7,7]', '[7,9,1]', '[-1]', '[0.5]', '["7"]', '7', '[1e9]']) {
    const place = '"edit":"add","joint":"resid_post","layer":2';
    const text = `[{${place},"from":{"unembedding":${bad}}}]`;
    expect(
      parseListed(text, (part) => ignored.push(part)),
      bad,
    ).toEqual([]);
  }
  expect(ignored).toHaveLength(8);
  // No other edit takes one, and none takes numbers beside it.
  for (const more of ['"vector":[1],', '"joint":"attn_z",'])
    expect(
      parseListed(
        `[{"edit":"add","joint":"resid_post","layer":2,${more}"from":{"unembedding":[7]}}]`,
        () => undefined,
      ),
    ).toEqual([]);
  expect(() => readForm(fields, shape)).toThrow(FormError);
  expect(() => readForm(fields, shape, [7, 7])).toThrow(FormError);
});

test.each<[Partial<FormFields>, object]>([
  [{ layer: '4' }, { field: 'layer', kind: 'range', got: '4', most: 3 }],
  [{ layer: '' }, { field: 'layer', kind: 'range', got: '', most: 3 }],
  [{ head: '-1' }, { field: 'head', kind: 'range', got: '-1', most: 2 }],
  [
    { part: 'neuron', neuron: '12' },
    { field: 'neuron', kind: 'range', most: 11 },
  ],
  [{ factor: 'half' }, { field: 'factor', kind: 'number', got: 'half' }],
  [{ factor: '1e39' }, { field: 'factor', kind: 'number' }],
  [{ positions: '3, x' }, { field: 'positions', kind: 'positions', most: 19 }],
  [{ positions: '5-3' }, { field: 'positions', kind: 'positions' }],
  [{ positions: '20' }, { field: 'positions', kind: 'positions' }],
  [
    { kind: 'steer', towards: 'A', away: ' ' },
    { field: 'away', kind: 'text' },
  ],
  [
    { kind: 'steer', direction: 'numbers', numbers: '1 2' },
    { kind: 'count', got: 2, expected: 6 },
  ],
  [
    { kind: 'steer', direction: 'numbers', numbers: '1 2 a' },
    { kind: 'unread', got: 'a' },
  ],
  [
    { kind: 'mean', reference: '' },
    { field: 'reference', kind: 'text' },
  ],
])('fields %j are refused, with what is wrong', (changes, problem) => {
  expect(problemOf(changes)).toMatchObject(problem);
});

test('knock-outs are refused where they leave a token nothing to look at, also together', () => {
  const out = (query: number, key: number) =>
    ({ edit: 'knock-out', layer: 0, query, key }) as const;
  expect(() => {
    checkTogether([out(1, 0)], shape, 8);
  }).not.toThrow();
  expect(() => {
    checkTogether([out(1, 0), out(1, 1)], shape, 8);
  }).toThrow(FormError);
});

test('a head’s switch and the list are one: on, off, and back where the entry was', () => {
  const other = listed({ edit: 'scale', joint: 'mlp_output', layer: 0, factor: 0 });
  const off = withHeadToggled([other], [1, 2]);
  expect(off.map(headOff)).toEqual([null, [1, 2]]);
  expect(withHeadToggled(off, [1, 2])).toEqual([other]);
  const switchedOff = off.map((entry) => ({ ...entry, isOn: false }));
  expect(withHeadToggled(switchedOff, [1, 2])).toEqual([{ ...other, isOn: false }, off[1]]);
});

test('a link leaves out pasted numbers, and what it says of the rest is read back', () => {
  const pasted = readForm(
    filled({ kind: 'steer', direction: 'numbers', numbers: '1 2 3 4 5 6' }),
    shape,
  );
  const list = [
    { ...pasted, isOn: true },
    { ...readForm(filled({ head: '2' }), shape), isOn: false },
    { ...readForm(filled({ kind: 'mean', reference: 'a & b' }), shape), isOn: true },
  ];
  expect(list.map(fitsLink)).toEqual([false, true, true]);
  const ignored: string[] = [];
  const read = parseListed(formatListed(list), (part) => ignored.push(part));
  expect(read).toEqual(list.slice(1));
  expect(ignored).toEqual([]);
});

test.each([
  [{ edit: 'scale', joint: 'attn_z', layer: 0, factor: 'x' }],
  [{ edit: 'scale', joint: 'attn_z', layer: 0, more: 1 }],
  [{ edit: 'scale', joint: 'attn_z', layer: 0, row: 0 }],
  [{ edit: 'add', joint: 'attn_z', layer: 0, from: { difference: ['a', 'b'] } }],
  [{ edit: 'add', joint: 'resid_post', layer: 0, vector: 1, from: { difference: ['a', 'b'] } }],
  [{ edit: 'add', joint: 'resid_post', layer: 0, from: { difference: ['a', ''] } }],
  [{ edit: 'add', joint: 'resid_post', layer: 0, from: { text: 'a' } }],
  [{ edit: 'replace', joint: 'attn_probs', layer: 0, from: { mean: 'a' } }],
  [{ edit: 'replace', joint: 'attn_z', layer: 0, from: { text: 'a', mean: 'b' } }],
  [{ edit: 'scale', joint: 'attn_z', layer: 0, off: 1 }],
  ['text'],
  [null],
])('a link’s edit %j is ignored and named, the next one read', (bad) => {
  const good = { edit: 'scale', joint: 'attn_z', layer: 0, head: 1 };
  const ignored: string[] = [];
  const read = parseListed(JSON.stringify([bad, good]), (part) => ignored.push(part));
  expect(read?.map(({ edit }) => edit)).toEqual([good]);
  expect(ignored).toEqual([JSON.stringify(bad)]);
});

test('text that is no list is no list, and an edit of another model does not fit', () => {
  for (const text of ['', '{}', 'scale', '[1', JSON.stringify(Array(65).fill({}))])
    expect(parseListed(text, () => undefined)).toBeNull();
  expect(fits(listed({ edit: 'scale', joint: 'attn_z', layer: 4 }), shape)).toBe(false);
  expect(fits(listed({ edit: 'scale', joint: 'attn_z', layer: 3 }), shape)).toBe(true);
});

test('an edit of texts acts once its numbers are there, in the list’s place, and no longer', () => {
  const list = new EditList();
  const steer = listed(
    { edit: 'add', joint: 'resid_post', layer: 1, vector: 0, strength: 2 },
    { difference: ['a', 'b'] },
  );
  const head = listed({ edit: 'scale', joint: 'attn_z', layer: 0, head: 1, factor: 0 });
  list.entries = [steer, head];
  expect(list.active).toEqual([head.edit]);
  expect(list.lacking).toEqual([steer]);
  list.take(steer, { numbers: [1, 2, 3, 4, 5, 6] });
  expect(list.active).toEqual([withNumbers(steer.edit, [1, 2, 3, 4, 5, 6]), head.edit]);
  // A stronger one needs no other numbers.
  list.entries = [{ ...steer, edit: { ...steer.edit, strength: 3 } as ListedEdit['edit'] }];
  expect(list.lacking).toEqual([]);
  expect(list.active).toMatchObject([{ vector: [1, 2, 3, 4, 5, 6], strength: 3 }]);
  list.take(steer, { error: { kind: 'no-tokenizer' } });
  expect(list.errorOf(steer)).toEqual({ kind: 'no-tokenizer' });
  expect(list.active).toEqual([]);
  list.keepFitting(shape);
  expect(list.lacking).toHaveLength(1);
});

test('a map of a sweep shows shares of the difference, and changes where there is none', () => {
  const asked: AskedSweep = {
    text: 'b',
    over: 'heads',
    metric: 'logit-difference',
    answer: '',
    other: '',
    mostBytes: 1e9,
  };
  const sweep = {
    dims: [1, 3],
    values: Float32Array.of(-2, 0, 6),
    clean: 2,
    corrupted: -2,
  } as const;
  const done = { asked, ids: [1], sweep, tokens: null };
  // (-2 + 2) / 4, (0 + 2) / 4, (6 + 2) / 4.
  expect(cellsOf(done)).toMatchObject({ values: Float32Array.of(0, 0.5, 2), limit: 2 });
  const equal = { ...done, sweep: { ...sweep, clean: -2 } };
  expect(cellsOf(equal)).toMatchObject({ values: Float32Array.of(0, 2, 8), areShares: false });
  expect(patchAt(done, 0, 2)).toEqual({
    edit: { edit: 'replace', joint: 'attn_z', layer: 0, head: 2, value: 0 },
    from: { text: 'b' },
    isOn: true,
  });
});
