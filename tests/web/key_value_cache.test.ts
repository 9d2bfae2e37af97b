// Which cached tokens a new sequence may use, and what is left of them.
import fc from 'fast-check';
import type * as Ort from 'onnxruntime-web';
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

function isAlive(tensors: Map<string, Tensor>): boolean {
  return [...tensors.values()].every(({ location }) => location !== 'none');
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

test('other interventions, other cache; what is replaced or forgotten gives its memory back', () => {
  const cache = new KeyValueCache();
  const [untouched, oneOff, newer] = [entry(), entry(), entry()];
  cache.store([1, 2, 3], '', untouched);
  expect(cache.find([1, 2, 3, 4], 'a')).toBeNull();
  cache.store([1, 2, 3], 'a', oneOff);
  expect(cache.find([1, 2, 3, 4], '')?.tensors).toBe(untouched);
  cache.store([1, 2, 3, 4], '', newer);
  expect([untouched, oneOff, newer].map(isAlive)).toEqual([false, true, true]);
  cache.clear();
  expect([oneOff, newer].map(isAlive)).toEqual([false, false]);
  expect(cache.find([1, 2], '')).toBeNull();
});

const MiB = 2 ** 20;

/** The cache of so many tokens of GPT-2 small: 12 layers, keys and values, (1, 12, tokens, 64) in float32. */
function ofGpt2(tokens: number): Map<string, Tensor> {
  return new Map(
    Array.from({ length: 12 }, (_, layer) =>
      ['key', 'value'].map((part) => {
        const dims = [1, 12, tokens, 64];
        const tensor = new Tensor('float32', new Float32Array(12 * tokens * 64), dims);
        return [`past_key_values.${layer}.${part}`, tensor] as const;
      }),
    ).flat(),
  );
}

const idsOf = (tokens: number): number[] => Array.from({ length: tokens }, (_, at) => at);

/** Store a run of so many tokens, and return what was stored. */
function stored(cache: KeyValueCache, key: string, tokens: number): Map<string, Tensor> {
  const tensors = ofGpt2(tokens);
  cache.store(idsOf(tokens), key, tensors);
  return tensors;
}

test('short texts of many interventions are held at once, within the budget and no further', () => {
  // 32 tokens take 2.25 MiB: four times that is 9, five times 11.25.
  const cache = new KeyValueCache(10 * MiB);
  const runs = new Map(['', 'a', 'b', 'c'].map((key) => [key, stored(cache, key, 32)]));
  expect([...runs.values()].every(isAlive)).toBe(true);
  for (const key of runs.keys()) expect(cache.find(idsOf(33), key)?.length, key).toBe(32);
  // The order of use is now '', a, b, c; using a again makes b the oldest but for the untouched run.
  cache.find(idsOf(33), 'a');
  runs.set('d', stored(cache, 'd', 32));
  const alive = Array.from(runs, ([key, tensors]) => (isAlive(tensors) ? key : '-'));
  expect(alive).toEqual(['', 'a', '-', 'c', 'd']);
  expect(cache.find(idsOf(33), 'b')).toBeNull();
});

test('a long text pushes others out, but neither the untouched run nor itself', () => {
  const cache = new KeyValueCache(10 * MiB);
  const [untouched, short] = [stored(cache, '', 32), stored(cache, 'a', 32)];
  const long = stored(cache, 'b', 200);
  expect([untouched, short, long].map(isAlive)).toEqual([true, false, true]);
  // As soon as it is no longer the newest it goes.
  const next = stored(cache, 'c', 32);
  expect([untouched, long, next].map(isAlive)).toEqual([true, false, true]);
});

test('two whole texts of GPT-2 small fit the default budget, and a third does not', () => {
  const cache = new KeyValueCache();
  const runs = ['a', 'b', 'c'].map((key) => stored(cache, key, 1024));
  expect(runs.map(isAlive)).toEqual([false, true, true]);
});

test('whatever is stored and looked up, the least recently used go first and nothing else', () => {
  const key = fc.constantFrom('', 'a', 'b', 'c', 'd');
  const step = fc.record({ key, tokens: fc.integer({ min: 1, max: 9 }), isStored: fc.boolean() });
  const budget = 12;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      // A token is one number here, 4 bytes.
      const cache = new KeyValueCache(budget * 4);
      let expected: { key: string; tokens: number }[] = [];
      const all: Map<string, Tensor>[] = [];
      for (const { key, tokens, isStored } of steps) {
        const known = expected.find((each) => each.key === key);
        const rest = expected.filter((each) => each.key !== key);
        if (isStored) {
          const tensors = new Map([
            ['k', new Tensor('float32', new Float32Array(tokens), [1, 1, tokens, 1])],
          ]);
          all.push(tensors);
          cache.store(idsOf(tokens), key, tensors);
          expected = [...rest, { key, tokens }];
          const total = (): number => expected.reduce((sum, each) => sum + each.tokens, 0);
          while (total() > budget) {
            const oldest = expected.slice(0, -1).find((each) => each.key !== '');
            if (oldest === undefined) break;
            expected = expected.filter((each) => each !== oldest);
          }
        } else {
          expect(cache.find(idsOf(20), key)?.length ?? null).toBe(known?.tokens ?? null);
          if (known !== undefined) expected = [...rest, known];
        }
        expect(all.filter(isAlive)).toHaveLength(expected.length);
      }
      for (const each of expected)
        expect(cache.find(idsOf(20), each.key)?.length, each.key).toBe(each.tokens);
    }),
  );
});

test('a copy in memory has the numbers, the order and the tokens of before', async () => {
  const number = 4;
  const cache = new KeyValueCache(2 * number);
  const tensors = ['a', 'b'].map((key, index) => {
    const data = Float32Array.of(index + 1);
    const tensor = new Tensor('float32', data, [1, 1, 1, 1]);
    cache.store([7, index, 9], key, new Map([['past_key_values.0.key', tensor]]));
    return tensor;
  });
  await cache.copyToMemory({ Tensor } as unknown as typeof Ort);
  // The tensors of before may end with their session.
  for (const tensor of tensors) expect(tensor.location).toBe('none');
  const hit = cache.find([7, 1, 9, 3], 'b');
  expect(hit?.length).toBe(3);
  expect(await hit?.tensors.get('past_key_values.0.key')?.getData()).toEqual(Float32Array.of(2));
  // The least recently used one is still the first to go.
  cache.store([1], 'c', entry());
  expect(cache.find([7, 0, 9], 'a')).toBeNull();
  expect(cache.find([7, 1, 9], 'b')).not.toBeNull();
});
