// The overview of heads: roles from scores, order, filters and sets of heads, against hand-computed cases.
import { expect, test } from 'vitest';
import {
  ALL_HEADS,
  DEFAULT_THRESHOLDS,
  mainRole,
  rolesOf,
  sortedBy,
  type ScoredHead,
} from '../../apps/web/src/analysis/head_roles';
import { scoredKeys, scoresOfHead, type HeadScores } from '../../apps/web/src/analysis/head_scores';
import { readHeads, writeHeads } from '../../apps/web/src/analysis/head_sets';
import { seededRandom, uniformAt } from '../../apps/web/src/analysis/seeded_random';
import { allHeads, headRows, shownHeads } from '../../apps/web/src/views/overview/heads_shown';
import { scoreRows } from '../../apps/web/src/views/overview/head_table';

const none: HeadScores = {
  previous_token: 0,
  first_token: 0,
  duplicate_token: 0,
  induction: 0,
  entropy: 2,
};

test('the keys of a token that comes three times are all its earlier places, and those behind them', () => {
  const keys = scoredKeys([5, 6, 5, 7, 5]);
  expect(keys.duplicate_token).toEqual([[], [], [0], [], [0, 2]]);
  expect(keys.induction).toEqual([[], [], [1], [], [1, 3]]);
  expect(keys.previous_token).toEqual([[], [0], [1], [2], [3]]);
});

test('scores of a hand-made pattern, over two texts', () => {
  // Row 2 of the first text gives 0.75 to the token that followed the same one; nothing repeats in the second.
  const texts = [
    [[1], [0.5, 0.5], [0.25, 0.75, 0]],
    [[1], [1, 0], [0.5, 0, 0.5]],
  ];
  const keys = [scoredKeys([3, 4, 3]), scoredKeys([1, 2, 9])];
  const found = scoresOfHead((text, query) => texts[text]?.[query] ?? [], keys);
  expect(found.induction).toBeCloseTo(0.75, 12);
  expect(found.duplicate_token).toBeCloseTo(0.25, 12);
  expect(found.previous_token).toBeCloseTo((0.5 + 0.75 + 1 + 0) / 4, 12);
  expect(found.first_token).toBeCloseTo((0.5 + 0.25 + 1 + 0.5) / 4, 12);
  const half = Math.log(2);
  const quarter = -(0.25 * Math.log(0.25) + 0.75 * Math.log(0.75));
  expect(found.entropy).toBeCloseTo((0 + half + quarter + 0 + 0 + half) / 6, 12);
});

test('a role is a score at its threshold or over it; entropy counts from above, and no label is made of it', () => {
  const scores = { ...none, first_token: 0.4, induction: 0.9, entropy: 0.5 };
  expect(rolesOf(scores, DEFAULT_THRESHOLDS)).toEqual(['induction', 'first_token', 'entropy']);
  expect(mainRole(scores, DEFAULT_THRESHOLDS)).toBe('induction');
  expect(mainRole({ ...none, entropy: 0.1 }, DEFAULT_THRESHOLDS)).toBeNull();
  expect(
    rolesOf({ ...none, duplicate_token: NaN }, { ...DEFAULT_THRESHOLDS, duplicate_token: 0 }),
  ).not.toContain('duplicate_token');
});

const head = (layer: number, at: number, scores: Partial<HeadScores> | null): ScoredHead => ({
  layer,
  head: at,
  scores: scores && { ...none, ...scores },
});

test('heads are sorted by a share from the top, by entropy from the bottom, those without a score last', () => {
  const heads = [
    head(0, 0, null),
    head(0, 1, { induction: 0.2, entropy: 0.3 }),
    head(1, 0, { induction: NaN, entropy: 0.1 }),
    head(1, 1, { induction: 0.8, entropy: 0.9 }),
  ];
  const names = (sorted: readonly ScoredHead[]) => sorted.map((one) => `${one.layer}.${one.head}`);
  expect(names(sortedBy(heads, 'induction'))).toEqual(['1.1', '0.1', '0.0', '1.0']);
  expect(names(sortedBy(heads, 'entropy'))).toEqual(['1.0', '0.1', '1.1', '0.0']);
});

test('a set of heads is read as it is written, and a part that names none is told', () => {
  const sizes = { layers: 3, heads: 2 };
  expect(readHeads('', sizes)).toHaveLength(6);
  expect(readHeads('2.1, 0', sizes)).toEqual([
    [0, 0],
    [0, 1],
    [2, 1],
  ]);
  expect(readHeads('1-2，1.0', sizes)).toEqual([
    [1, 0],
    [1, 1],
    [2, 0],
    [2, 1],
  ]);
  for (const wrong of ['3', '0.2', '2-1', 'x', '1.', '-1', '0-3'])
    expect(readHeads(`0, ${wrong}`, sizes)).toEqual({ got: wrong });
  for (const text of ['', '0', '0-1', '1-2', '0, 1.1, 2', '0.0, 2.1'])
    expect(writeHeads(readHeads(text, sizes) as (readonly [number, number])[], sizes)).toBe(text);
  expect(writeHeads([], sizes)).toBe('');
});

test('the grid has a row for each layer with a head that is shown, or, sorted, rows of a width', () => {
  const sizes = { layers: 2, heads: 2 };
  const scores = [{ ...none, induction: 0.5 }, none, { ...none, induction: 0.9 }, null];
  const all = allHeads(sizes, scores);
  const induction = shownHeads(all, sizes, { ...ALL_HEADS, roles: ['induction'] });
  expect(induction.map(({ layer, head: at }) => [layer, at])).toEqual([
    [0, 0],
    [1, 0],
  ]);
  expect(
    headRows(induction, 2, null).map(({ cells }) => cells.map((cell) => cell?.head ?? null)),
  ).toEqual([
    [0, null],
    [0, null],
  ]);
  const sorted = shownHeads(all, sizes, { ...ALL_HEADS, by: 'induction', only: '1' });
  expect(headRows(sorted, 2, 1).map(({ layer, cells }) => [layer, cells.length])).toEqual([
    [null, 1],
    [null, 1],
  ]);
  // Of a text that names no heads, all are shown.
  expect(shownHeads(all, sizes, { ...ALL_HEADS, only: '7' })).toHaveLength(4);
  expect(scoreRows(all)[4]).toEqual([1, 1, '', '', '', '', '']);
});

test('a seed gives the same numbers again, evenly in [0, 1)', () => {
  const [one, other] = [seededRandom(7), seededRandom(7)];
  const drawn = Array.from({ length: 4000 }, one);
  expect(Array.from({ length: 4000 }, other)).toEqual(drawn);
  expect(drawn.every((value) => value >= 0 && value < 1)).toBe(true);
  for (let tenth = 0; tenth < 10; tenth++) {
    const count = drawn.filter((value) => Math.floor(value * 10) === tenth).length;
    expect(Math.abs(count - 400)).toBeLessThan(100);
  }
  expect(drawn[0]).toBe(uniformAt(7, 0));
});
