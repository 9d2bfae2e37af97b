// What the browser lets go first, where room is short; and how long is waited for a host.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readRetryAfter } from '../../apps/web/src/bundle/sources/byte_source';
import { inOrderOfRemoval } from '../../apps/web/src/bundle/storage/model_cache';
import { retryPolicy, waitAfter } from '../../apps/web/src/bundle/download/retry_policy';

test('older versions go before other models, those opened long ago before others, and what is open never', () => {
  const records = new Map([
    ['a-new', { url: 'a', openedAt: 50 }],
    ['a-old', { url: 'a', openedAt: 40 }],
    ['a-oldest', { url: 'a', openedAt: 5 }],
    ['b', { url: 'b', openedAt: 10 }],
    ['c', { url: 'c', openedAt: 20 }],
    ['d', { url: 'd', openedAt: 1 }],
  ]);
  expect(inOrderOfRemoval(records, new Set(['d']))).toEqual([
    ...['a-oldest', 'a-old'],
    ...['b', 'c', 'a-new'],
  ]);
});

test('waits double, never exceed what is bearable, and keep to what the host asks', () => {
  const waits = [1, 2, 3, 4].map((failures) => waitAfter(failures, null, retryPolicy, 0));
  expect(waits).toEqual([500, 1000, 2000, 4000]);
  expect(waitAfter(1, 3000, retryPolicy, 0)).toBe(3000);
  expect(waitAfter(3, 100, retryPolicy, 0)).toBe(2000);
  expect(waitAfter(1, retryPolicy.maxWaitMs + 1, retryPolicy, 0)).toBeNull();
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (failures, chance) => {
        const ms = waitAfter(failures, null, retryPolicy, chance);
        expect(ms).toBeGreaterThanOrEqual(retryPolicy.firstWaitMs);
        expect(ms).toBeLessThanOrEqual(retryPolicy.maxWaitMs);
      },
    ),
  );
});

test('Retry-After is seconds or a date', () => {
  const now = Date.UTC(2026, 0, 1);
  expect(readRetryAfter('120', now)).toBe(120_000);
  expect(readRetryAfter(' 0 ', now)).toBe(0);
  expect(readRetryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now)).toBe(30_000);
  expect(readRetryAfter('Wed, 31 Dec 2025 23:00:00 GMT', now)).toBe(0);
  for (const nonsense of [null, '', 'soon', '-5', '1e9', '99999999999']) {
    expect(readRetryAfter(nonsense, now)).toBeNull();
  }
});
