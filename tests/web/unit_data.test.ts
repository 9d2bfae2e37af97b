// A unit as files: each token of a passage with its own value and place, and a picture whose peaks stand in one column.
import { expect, test } from 'vitest';
import { SCORES, type Score } from '../../apps/web/src/bundle/dashboards/scores';
import type { UnitRow } from '../../apps/web/src/bundle/dashboards/unit_rows';
import { colourOf, type ValueScale } from '../../apps/web/src/charts/colour_ramps';
import type { TokenPiece } from '../../apps/web/src/inference/model_types';
import { passageRows, unitPicture, unitScoreRows } from '../../apps/web/src/views/units/unit_data';

const encoder = new TextEncoder();
const pieces = new Map<number, TokenPiece>(
  ['the', ' <b>', ' dog'].map((text, id) => [
    id,
    { bytes: encoder.encode(text), special: false } as unknown as TokenPiece,
  ]),
);
const row: UnitRow = {
  unit: 7,
  scores: Object.fromEntries(SCORES.map((score, at) => [score, at + 0.5])) as Record<Score, number>,
  histogram: { low: 0, high: 1, counts: [1, 2] },
  firing: [{ id: 2, value: 0.5 }],
  promoted: [],
  suppressed: [{ id: 1, value: -3 }],
  neighbours: [],
  passages: [
    { shard: 1, context: 4, position: 9, peak: 1, ids: [0, 2, 1], values: [0.25, 2, -1] },
    { shard: 0, context: 3, position: 0, peak: 0, ids: [2], values: [1.5] },
  ],
};

test('each token of a passage has its place in the corpus and its value', () => {
  expect(passageRows({ row, pieces })).toEqual([
    ['passage', 'shard', 'context', 'position', 'id', 'token', 'value', 'peak'],
    [1, 1, 4, 8, 0, '"the"', 0.25, 0],
    [1, 1, 4, 9, 2, '" dog"', 2, 1],
    [1, 1, 4, 10, 1, '" <b>"', -1, 0],
    [2, 0, 3, 0, 2, '" dog"', 1.5, 1],
  ]);
});

test('a layer has a row for each unit, with empty cells where a list is empty', () => {
  const [head, only] = unitScoreRows([row], pieces);
  expect(head).toHaveLength(only?.length ?? 0);
  const cell = (name: string): unknown => only?.[head?.indexOf(name) ?? -1];
  expect(cell('unit')).toBe(7);
  for (const [at, score] of SCORES.entries()) expect(cell(score)).toBe(at + 0.5);
  expect([cell('firing_id'), cell('firing_token')]).toEqual([2, '" dog"']);
  expect([cell('promoted_id'), cell('promoted_token')]).toEqual(['', '']);
  expect([cell('suppressed_id'), cell('suppressed_token')]).toEqual([1, '" <b>"']);
});

test('the peaks of a picture stand under 0 in the colours of their values', () => {
  const scale: ValueScale = { kind: 'signed', limit: 2, root: false };
  const svg = unitPicture({
    ...{ title: 'a <b> unit', caption: ['corpus'], scale, theme: 'light' },
    open: { row, pieces },
  });
  const zero = /<text x="(\d+)"[^>]*>0<\/text>/.exec(svg);
  const left = Number(zero?.[1]) - 3;
  const peaks = Array.from(
    svg.matchAll(new RegExp(`<rect x="${left}" y="\\d+"[^>]* fill="([^"]+)"`, 'g')),
    ([, fill]) => fill,
  );
  expect(peaks).toEqual([2, 1.5].map((value) => colourOf(value, scale, 'light')));
  expect(svg).not.toContain('<b>');
});
