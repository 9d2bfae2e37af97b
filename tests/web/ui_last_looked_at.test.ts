// What the pointer looked at last, in times made by hand.
import { expect, test } from 'vitest';
import { LastLookedAt } from '../../apps/web/src/views/last_looked_at';

const same = (a: string | null, b: string | null): boolean => a === b;

/** Follows the pointer over `[thing, milliseconds]` stays and gives what is kept at the end. */
function after(...stays: (readonly [string | null, number])[]): string | null {
  const last = new LastLookedAt<string>(same);
  let now = 0;
  for (const [thing, stay] of stays) {
    last.pointAt(thing, now);
    now += stay;
  }
  return last.pointAt(null, now);
}

test('what was left is kept, however briefly it was pointed at', () => {
  expect(after(['a', 800])).toBe('a');
  expect(after(['a', 8])).toBe('a');
  expect(after(['a', 800], [null, 60_000])).toBe('a');
});

test('what is crossed on the way to a button is not', () => {
  expect(after(['a', 800], [null, 5], ['b', 60], [null, 5], ['c', 90], [null, 200])).toBe('a');
  // A script moves faster than a hand, and looks as briefly.
  expect(after(['a', 40], ['b', 3], ['c', 4])).toBe('a');
});

test('what is looked at after it is kept instead', () => {
  expect(after(['a', 800], ['b', 400])).toBe('b');
  expect(after(['a', 30], ['b', 30])).toBe('b');
  // A stay far from the last one is no crossing, however short.
  expect(after(['a', 800], [null, 3000], ['b', 60])).toBe('b');
});
