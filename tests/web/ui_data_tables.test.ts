// What saved tables say of tokens: their own text, bytes that are not text, ids; and one value for each cell.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  mergeRun,
  type ActivationSeries,
  type ActivationSet,
} from '../../apps/web/src/activations/activation_set';
import { tokenData } from '../../apps/web/src/analysis/token_data';
import {
  activationRows,
  attentionRows,
  comparisonRows,
  lensRows,
  nextTokenRows,
} from '../../apps/web/src/views/data_tables';

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

test.each([
  [' the', '" the"'],
  ['\n\t', '"\\n\\t"'],
  ['␣', '"␣"'],
  ['"a\\b"', '"\\"a\\\\b\\""'],
  ['=1+1', '"=1+1"'],
  ['007', '"007"'],
  ['\u0000\u001b', '"\\u0000\\u001b"'],
  ['\ufeff你好🙂', '"\ufeff你好🙂"'],
])('%j stands in a table as %s', (text, cell) => {
  expect(tokenData(utf8(text))).toBe(cell);
});

test('bytes that are not UTF-8 on their own are escaped as Python escapes them', () => {
  expect(tokenData(Uint8Array.of(0x20, 0xf0, 0x9f))).toBe('" \\udcf0\\udc9f"');
  expect(tokenData(Uint8Array.of(0x80, 0x61))).toBe('"\\udc80a"');
  // UTF-8 of a surrogate is not UTF-8, so no text can stand for an escape.
  expect(tokenData(Uint8Array.of(0xed, 0xb3, 0xb0))).toBe('"\\udced\\udcb3\\udcb0"');
});

test('no two tokens have the same cell, and each gives its bytes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), (bytes) => {
      const text = JSON.parse(tokenData(bytes)) as string;
      const back = Array.from(text).flatMap((character) => {
        const code = character.codePointAt(0) ?? 0;
        return code >= 0xdc80 && code <= 0xdcff ? [code - 0xdc00] : [...utf8(character)];
      });
      expect(back).toEqual([...bytes]);
    }),
  );
});

test('what has no text has an empty cell', () => {
  expect([null, undefined, new Uint8Array()].map(tokenData)).toEqual(['', '', '']);
});

const tokens = [
  { id: 7, position: 0, bytes: utf8('a') },
  { id: 9, position: 1, bytes: utf8(' b') },
  { id: 7, position: 2, bytes: null },
];
const pieces = new Map([
  [0, { id: 0, bytes: utf8('-') }],
  [1, { id: 1, bytes: Uint8Array.of(0xc3) }],
]);

function setOf(
  name: string,
  dims: readonly number[],
  data: Float32Array | Int32Array,
): ActivationSet {
  const run = { ids: [7, 9], start: 0, lastLogits: new Float32Array(3), timings: { runMs: 0 } };
  const set = mergeRun(null, { ...run, tensors: [{ name, dims, data }] });
  if (set === null) throw new Error('a whole run starts at the first token');
  return set;
}

function seriesOf(set: ActivationSet | null, name: string): ActivationSeries {
  const series = set?.get(name) ?? null;
  if (series === null) throw new Error(`no ${name}`);
  return series;
}

function mapOf(set: ActivationSet | null, name: string): (query: number) => ArrayLike<number> {
  const series = seriesOf(set, name);
  return (query) => series.row(query, 0);
}

test('every token of the vocabulary has its id and its text', () => {
  expect(nextTokenRows([1, -2, 3], [0.2, 0.1, 0.7], [0, 0, 1], pieces).slice(1)).toEqual([
    [0, '"-"', 1, 0.2, 0],
    [1, '"\\udcc3"', -2, 0.1, 0],
    [2, '', 3, 0.7, 1],
  ]);
  expect(comparisonRows('fp32', 'q4', [{ id: 1, a: 0.5, b: 0.25 }], pieces)).toEqual([
    ['id', 'token', 'fp32', 'q4'],
    [1, '"\\udcc3"', 0.5, 0.25],
  ]);
});

test.each([
  ['attn_probs', 0, 0],
  ['attn_scores', -3.4028234663852886e38, ''],
] as const)(
  'rows of %s are as long as the text, also those of before it grew',
  (kind, mask, hidden) => {
    const name = `layer_0_${kind}`;
    const first = setOf(name, [1, 1, 2, 2], Float32Array.of(1, mask, 0.25, 0.75));
    const whole = mergeRun(first, {
      ids: [7, 9, 7],
      start: 2,
      lastLogits: new Float32Array(3),
      timings: { runMs: 0 },
      tensors: [{ name, dims: [1, 1, 1, 3], data: Float32Array.of(0.5, 0.125, 0.375) }],
    });
    expect(attentionRows(tokens, mapOf(whole, name), kind === 'attn_scores')).toEqual([
      ['position', 'id', 'token', '0 "a"', '1 " b"', '2'],
      [0, 7, '"a"', 1, hidden, hidden],
      [1, 9, '" b"', 0.25, 0.75, hidden],
      [2, 7, '', 0.5, 0.125, 0.375],
    ]);
  },
);

test('a score that a window of attention hides is no value, and a weight of 0 is one', () => {
  const mask = -3.4028234663852886e38;
  const cells = (kind: 'attn_probs' | 'attn_scores', hidden: number): unknown[] => {
    const name = `layer_0_${kind}`;
    const data = Float32Array.of(1, hidden, hidden, 0.25, 0.75, hidden, hidden, 0.5, 0.5);
    const rows = attentionRows(
      tokens,
      mapOf(setOf(name, [1, 1, 3, 3], data), name),
      kind === 'attn_scores',
    );
    return rows[3]?.slice(3) ?? [];
  };
  expect(cells('attn_scores', mask)).toEqual(['', 0.5, 0.5]);
  expect(cells('attn_scores', -Infinity)).toEqual(['', 0.5, 0.5]);
  expect(cells('attn_probs', 0)).toEqual([0, 0.5, 0.5]);
});

test('heads stand one after the other, and the lens names what it guesses', () => {
  const z = setOf('layer_0_attn_z', [1, 2, 2, 2], Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  expect(activationRows(tokens.slice(0, 2), seriesOf(z, 'layer_0_attn_z'))).toEqual([
    ['position', 'id', 'token', 0, 1, 2, 3],
    [0, 7, '"a"', 1, 2, 5, 6],
    [1, 9, '" b"', 3, 4, 7, 8],
  ]);
  const layer = {
    layer: 3,
    ids: seriesOf(setOf('i', [1, 1, 2], Int32Array.of(1, 0)), 'i'),
    probs: seriesOf(setOf('p', [1, 1, 2], Float32Array.of(0.75, 0.25)), 'p'),
  };
  expect(lensRows(tokens.slice(0, 1), [layer], pieces)).toEqual([
    ['layer', 'position', 'id', 'token', 'rank', 'guess_id', 'guess_token', 'probability'],
    [3, 0, 7, '"a"', 1, 1, '"\\udcc3"', 0.75],
    [3, 0, 7, '"a"', 2, 0, '"-"', 0.25],
  ]);
});
