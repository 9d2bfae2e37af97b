// Which cached tokens a new sequence may use, and what is left of them.
import fc from 'fast-check';
import { Tensor } from 'onnxruntime-web';
import { expect, test } from 'vitest';
import {
  commonPrefixLength,
  KeyValueCache,
  truncatePositions,
} from '../../apps/web/src/inference/key_value_cache';

const ids = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 });

function entry(): Map<string, Tensor> {
  return new Map([
    ['past_key_values.0.key', new Tensor('float32', new Float32Array(1), [1, 1, 1, 1])],
  ]);
}

test('a common prefix is common, and no longer one is', () => {
  fc.assert(
    fc.property(ids, ids, (a, b) => {
      const length = commonPrefixLength(a, b);
      expect(a.slice(0, length)).toEqual(b.slice(0, length));
      expect(a.slice(0, length + 1)).not.toEqual(
        length < Math.min(a.length, b.length) ? b.slice(0, length + 1) : [],
      );
    }),
  );
});

test('truncating keeps each head’s first positions', () => {
  const size = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(fc.tuple(size, size, size, size), fc.nat(), ([batch, heads, past, width], cut) => {
      const length = cut % (past + 1);
      // Each value says where it stood.
      const label = (b: number, h: number, p: number, w: number): number =>
        ((b * heads + h) * past + p) * width + w;
      const all = Float32Array.from({ length: batch * heads * past * width }, (_, index) => index);
      const expected: number[] = [];
      for (let b = 0; b < batch; b++)
        for (let h = 0; h < heads; h++)
          for (let p = 0; p < length; p++)
            for (let w = 0; w < width; w++) expected.push(label(b, h, p, w));
      const cutData = truncatePositions(all, [batch, heads, past, width], length);
      expect([...cutData]).toEqual(expected);
    }),
  );
});

test('a hit never covers the last token, and only shared ones', () => {
  fc.assert(
    fc.property(ids, ids, (earlier, now) => {
      const cache = new KeyValueCache();
      cache.store(earlier, '', entry());
      const hit = cache.find(now, '');
      const shared = commonPrefixLength(earlier, now);
      expect(hit?.length ?? 0).toBe(Math.min(shared, now.length - 1));
    }),
  );
});

test('other heads off, other cache; what is replaced or forgotten gives its memory back', () => {
  const cache = new KeyValueCache();
  const [untouched, oneOff, newer, third] = [entry(), entry(), entry(), entry()];
  const isAlive = (tensors: Map<string, Tensor>): boolean =>
    [...tensors.values()].every(({ location }) => location !== 'none');
  cache.store([1, 2, 3], '', untouched);
  expect(cache.find([1, 2, 3, 4], '0.1')).toBeNull();
  cache.store([1, 2, 3], '0.1', oneOff);
  expect(cache.find([1, 2, 3, 4], '')?.tensors).toBe(untouched);
  cache.store([1, 2, 3, 4], '', newer);
  expect([untouched, oneOff, newer].map(isAlive)).toEqual([false, true, true]);
  cache.store([1], '1.0', third);
  expect([oneOff, newer, third].map(isAlive)).toEqual([false, true, true]);
  cache.clear();
  expect([newer, third].map(isAlive)).toEqual([false, false]);
  expect(cache.find([1, 2], '')).toBeNull();
});
