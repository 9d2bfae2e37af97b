// What is said about attention patterns, against patterns whose answer is plain.
import { expect, test } from 'vitest';
import { CombinedMap } from '../../apps/web/src/analysis/attention_maps';
import {
  headHabits,
  MASKED_SCORE,
  mostDecidedHead,
  strongestSources,
} from '../../apps/web/src/analysis/attention_rows';

/** A pattern that puts all weight where `target` says. */
function pointing(target: (position: number) => number) {
  return (position: number): number[] =>
    Array.from({ length: position + 1 }, (_, key) => (key === target(position) ? 1 : 0));
}

const ids = [5, 6, 7, 5, 6, 7];

test.each([
  ['previous', (p: number) => Math.max(0, p - 1), { previous: 1, first: 0.2, self: 0 }],
  ['first', () => 0, { previous: 0.2, first: 1, self: 0 }],
  ['self', (p: number) => p, { previous: 0, first: 0, self: 1 }],
])('a head that always looks at the %s token', (_, target, habits) => {
  const found = headHabits(pointing(target), ids);
  expect(found).toMatchObject(habits);
});

test('an induction head looks at what followed the same token', () => {
  const found = headHabits(
    pointing((p) => (p >= 3 ? p - 2 : 0)),
    ids,
  );
  expect(found.induction).toBe(1);
  expect(
    headHabits(
      pointing(() => 0),
      [1, 2, 3],
    ).induction,
  ).toBeNull();
});

test('sources come strongest first, without zeros', () => {
  expect(strongestSources([0.2, 0, 0.5, 0.3], 3)).toEqual([
    { position: 2, weight: 0.5 },
    { position: 3, weight: 0.3 },
    { position: 0, weight: 0.2 },
  ]);
  expect(strongestSources([1, 0, 0], 3)).toHaveLength(1);
});

test('the most decided head is the one that singles out a token further back', () => {
  const heads = [
    { head: 'first token', row: [0.98, 0, 0.02, 0, 0, 0] },
    { head: 'itself', row: [0, 0, 0, 0, 0, 1] },
    { head: 'the one before', row: [0, 0, 0, 0, 1, 0] },
    { head: 'a name', row: [0.1, 0, 0.8, 0, 0.1, 0] },
    { head: 'spread', row: [0.2, 0.2, 0.2, 0.2, 0.1, 0.1] },
  ];
  expect(mostDecidedHead(heads, 5)).toBe('a name');
  expect(mostDecidedHead(heads, 1)).toBeNull();
});

const lowest = Math.fround(-3.4028234663852886e38);

test('maps are put together cell by cell: their mean, or the largest value, signs kept', () => {
  const maps = [
    [[1], [-2, 4], [0.25, 0.25, 0.5]],
    [[3], [-6, 1], [0.75, 0.25, 0]],
  ];
  const together = (over: 'mean' | 'max'): number[][] => {
    const map = new CombinedMap(3, over);
    for (const each of maps) map.add((query) => each[query] ?? []);
    const row = map.finish();
    return [0, 1, 2].map((query) => Array.from(row(query)));
  };
  expect(together('mean')).toEqual([[2], [-4, 2.5], [0.5, 0.25, 0.25]]);
  expect(together('max')).toEqual([[3], [-2, 4], [0.75, 0.25, 0.5]]);
});

test('what the mask hides in every head is hidden of them together', () => {
  for (const over of ['mean', 'max'] as const) {
    const map = new CombinedMap(2, over);
    for (const value of [5, 7]) map.add(() => [lowest, value]);
    const [hidden = 0, seen] = Array.from(map.finish()(1));
    expect(hidden).toBeLessThan(MASKED_SCORE);
    expect(seen).toBe(over === 'mean' ? 6 : 7);
  }
});
