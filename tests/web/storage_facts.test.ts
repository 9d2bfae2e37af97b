// What the browser says of its storage, in whole, in part and not at all; and who is asked for it to stay, and when.
import { expect, test, vi } from 'vitest';
import {
  askToPersist,
  mayPersistUnasked,
  readStorage,
  unknownStorage,
} from '../../apps/web/src/inference/storage_facts';

const refuse = (): Promise<never> => Promise.reject(new TypeError('not here'));

test('what the browser says is taken as it is', async () => {
  const storage = {
    estimate: () => Promise.resolve({ usage: 138e6, quota: 2.1e9 }),
    persisted: () => Promise.resolve(false),
  };
  expect(await readStorage(storage)).toEqual({
    usedBytes: 138e6,
    quotaBytes: 2.1e9,
    persistence: 'evictable',
  });
  const stays = { ...storage, persisted: () => Promise.resolve(true) };
  expect((await readStorage(stays)).persistence).toBe('persistent');
});

test('what the browser does not say, or says nonsense of, is unknown', async () => {
  expect(await readStorage(undefined)).toEqual(unknownStorage);
  expect(await readStorage({})).toEqual(unknownStorage);
  expect(await readStorage({ estimate: refuse, persisted: refuse })).toEqual(unknownStorage);
  const odd = { estimate: () => Promise.resolve({ usage: NaN, quota: -1 }) };
  expect(await readStorage(odd)).toEqual(unknownStorage);
});

test('the outcome of asking is told apart from not being able to ask', async () => {
  expect(await askToPersist({ persist: () => Promise.resolve(true) })).toBe('granted');
  expect(await askToPersist({ persist: () => Promise.resolve(false) })).toBe('denied');
  expect(await askToPersist({ persist: refuse })).toBe('unavailable');
  expect(await askToPersist({})).toBe('unavailable');
  expect(await askToPersist(undefined)).toBe('unavailable');
});

test.each([
  ['granted', true],
  ['prompt', false],
  ['denied', false],
] as const)('with the permission %s it may be asked unseen: %s', async (state, may) => {
  const query = vi.fn(() => Promise.resolve({ state } as PermissionStatus));
  expect(await mayPersistUnasked({ query })).toBe(may);
  expect(query).toHaveBeenCalledWith({ name: 'persistent-storage' });
});

test('a browser that knows no such permission is not asked unseen', async () => {
  expect(await mayPersistUnasked({ query: refuse })).toBe(false);
  expect(await mayPersistUnasked(undefined)).toBe(false);
});
