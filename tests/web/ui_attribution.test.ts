// The parts of an attribution as the view lists and sums them, by hand-computed cases; and edits of a text as its first
// tokens take them.
import { expect, test } from 'vitest';
import type { Attribution } from '../../apps/web/src/analysis/attribution';
import { totalAttribution } from '../../apps/web/src/analysis/attribution';
import {
  largestShare,
  layerShares,
  partShares,
  sortedParts,
  sourceRow,
  sumOfParts,
} from '../../apps/web/src/analysis/attribution_parts';
import { byName, lastLooks, sourceShares } from '../../apps/web/src/inference/attribute_sources';
import { prefixEdits } from '../../apps/web/src/inference/prefix_edits';
import type { ModelShape } from '../../apps/web/src/contract/generated';

/** Two layers of two heads and one head, two tokens. */
const shares: Attribution = {
  embedding: Float32Array.of(1, 2),
  heads: [Float32Array.of(1, -4, 2, 8), Float32Array.of(3, 16)],
  attentionRest: [Float32Array.of(0.5, 0.25), Float32Array.of(0, 0.125)],
  mlps: [Float32Array.of(5, -32), Float32Array.of(6, 64)],
  bias: 0.5,
  logit: Float32Array.of(19, 54.875),
  neurons: null,
};

test('every part is listed once, and they sum to the total at that token', () => {
  const parts = partShares(shares, 1);
  const listed = parts.map(({ kind, layer, head, share }) => [kind, layer, head, share]);
  expect(listed).toEqual([
    ['embedding', null, null, 2],
    ['head', 0, 0, -4],
    ['head', 0, 1, 8],
    ['attention_rest', 0, null, 0.25],
    ['mlp', 0, null, -32],
    ['head', 1, 0, 16],
    ['attention_rest', 1, null, 0.125],
    ['mlp', 1, null, 64],
    ['bias', null, null, 0.5],
  ]);
  for (const token of [0, 1])
    expect(sumOfParts(partShares(shares, token))).toBe(totalAttribution(shares)[token]);
  expect(sumOfParts(parts)).toBe(54.875);
});

test('layers sum their heads, bias and MLP', () => {
  expect(layerShares(shares, 1)).toEqual([
    { layer: 0, heads: [-4, 8], rest: 0.25, mlp: -32, attention: 4.25, sum: -27.75 },
    { layer: 1, heads: [16], rest: 0.125, mlp: 64, attention: 16.125, sum: 80.125 },
  ]);
});

test('parts are sorted by size, by sign or as computed, and the list itself stays', () => {
  const parts = partShares(shares, 1);
  const order = (by: Parameters<typeof sortedParts>[1]): number[] =>
    sortedParts(parts, by).map(({ share }) => share);
  expect(order('strongest').slice(0, 4)).toEqual([64, -32, 16, 8]);
  expect(order('up').slice(0, 3)).toEqual([64, 16, 8]);
  expect(order('down').slice(0, 3)).toEqual([-32, -4, 0.125]);
  expect(order('model')).toEqual(parts.map(({ share }) => share));
  expect(parts[0]?.kind).toBe('embedding');
});

const sources = [Float32Array.of(1, 2, 3, 4), Float32Array.of(-10, 20)];

test('tokens sum what heads take from them: of all, of a layer or of one head', () => {
  expect([...sourceRow(sources, 2, { of: 'all' })]).toEqual([-6, 26]);
  expect([...sourceRow(sources, 2, { of: 'layer', layer: 0 })]).toEqual([4, 6]);
  expect([...sourceRow(sources, 2, { of: 'head', layer: 0, head: 1 })]).toEqual([3, 4]);
  expect([...sourceRow(sources, 2, { of: 'head', layer: 5, head: 0 })]).toEqual([0, 0]);
  expect(largestShare([1, -7, 3])).toBe(7);
  expect(largestShare([])).toBe(0);
});

const shape: ModelShape = {
  ...{ layers: 1, heads: 2, kv_heads: 2, head_dim: 4, hidden: 8, intermediate: 16, vocab: 10 },
  ...{ context_length: 16, parallel_residual: false },
};

test('what a head takes from a token is its attention there times the share of the value', () => {
  const data = Float32Array.of(1, 0, 0.25, 0.75, 1, 0, 0.5, 0.5);
  const given = byName([{ name: 'layer_0_attn_probs', dims: [1, 2, 2, 2], data }]);
  expect(lastLooks(shape, 2, given).map((row) => [...row])).toEqual([[0.25, 0.75, 0.5, 0.5]]);
  const values = { ...shares, heads: [Float32Array.of(4, 8, -2, 6)] };
  expect(sourceShares(shape, values, given).map((row) => [...row])).toEqual([[1, 6, -1, 3]]);
  expect(() => lastLooks(shape, 2, byName([]))).toThrow('layer_0_attn_probs');
});

test('edits of a text change its first tokens alike, and leave out what lies behind them', () => {
  const scale = { edit: 'scale', joint: 'attn_z', layer: 0 } as const;
  const prefix = (position: NonNullable<Parameters<typeof prefixEdits>[0]>[number]) =>
    prefixEdits([position], 10, 6);
  expect(prefix(scale)).toEqual([scale]);
  expect(prefix({ ...scale, position: 3 })).toEqual([{ ...scale, position: [3] }]);
  expect(prefix({ ...scale, position: -1 })).toEqual([]);
  expect(prefix({ ...scale, position: [-6, 5, 6] })).toEqual([{ ...scale, position: [4, 5] }]);
  expect(prefix({ ...scale, position: { start: -5 } })).toEqual([
    { ...scale, position: { start: 5, stop: 6 } },
  ]);
  expect(prefix({ ...scale, position: { start: 6, stop: 9 } })).toEqual([]);
  expect(prefix({ edit: 'knock-out', layer: 0, query: [5, 7], key: -9 })).toEqual([
    { edit: 'knock-out', layer: 0, query: [5], key: [1] },
  ]);
  // The whole text keeps its edits as they are.
  const whole = [{ ...scale, position: -1 }];
  expect(prefixEdits(whole, 10, 10)).toBe(whole);
});
