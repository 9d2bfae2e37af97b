// What the page keeps in mind of the storage: numbers follow a removal, and nobody is surprised by a question.
import { expect, test, vi } from 'vitest';
import { KeptModels, type CacheKeeper } from '../../apps/web/src/session/kept_models.svelte';
import { dayAndTime } from '../../apps/web/src/i18n/date_format';
import type { KeptModel } from '../../apps/web/src/inference/model_types';

const demo: KeptModel = {
  ...{ url: 'https://a.test/demo/manifest.json', name: 'demo', version: null },
  ...{ openedAt: 1, bytes: 100, superseded: false },
};

function keeperOf(models: KeptModel[]): CacheKeeper {
  return {
    cachedModels: () => Promise.resolve([...models]),
    forget: (url) => {
      models.splice(0, models.length, ...models.filter((m) => url !== null && m.url !== url));
      return Promise.resolve([...models]);
    },
    close: () => undefined,
  };
}

function browserOf(state: PermissionState) {
  const persist = vi.fn(() => Promise.resolve(true));
  const storage = {
    persist,
    persisted: () => Promise.resolve(persist.mock.calls.length > 0),
    estimate: () => Promise.resolve({ usage: 100, quota: 1000 }),
  };
  const query = () => Promise.resolve({ state } as PermissionStatus);
  return { storage, permissions: { query } };
}

test('removing updates what is listed, through the worker at hand', async () => {
  const keeper = keeperOf([demo]);
  const make = vi.fn(() => keeper);
  const kept = new KeptModels(make, browserOf('prompt'));
  await kept.refresh(keeper);
  expect(kept.holds(demo.url)).toBe(true);
  await kept.remove(keeper, demo.url);
  expect(kept.models).toEqual([]);
  expect(kept.holds(demo.url)).toBe(false);
  expect(make).not.toHaveBeenCalled();
});

test('a list that was asked for during a removal brings nothing back', async () => {
  const models = [demo];
  let removed = (_left: KeptModel[]): void => undefined;
  let listed = (_all: KeptModel[]): void => undefined;
  const keeper: CacheKeeper = {
    cachedModels: () => new Promise((resolve) => (listed = resolve)),
    forget: () => new Promise((resolve) => (removed = resolve)),
    close: () => undefined,
  };
  const kept = new KeptModels(() => keeper, browserOf('prompt'));
  kept.models = models;
  const removal = kept.remove(keeper, demo.url);
  const refresh = kept.refresh(keeper);
  removed([]);
  await removal;
  listed(models);
  await refresh;
  expect(kept.models).toEqual([]);
});

test('without a worker at hand one is made, and closed again', async () => {
  const close = vi.fn<() => void>();
  const kept = new KeptModels(() => ({ ...keeperOf([demo]), close }), browserOf('prompt'));
  await kept.refresh(null);
  expect(kept.models).toEqual([demo]);
  expect(close).toHaveBeenCalledOnce();
});

test('a removal that fails is told, and the list stays', async () => {
  const keeper = { ...keeperOf([demo]), forget: () => Promise.reject(new Error('gone')) };
  const kept = new KeptModels(() => keeper, browserOf('prompt'));
  await kept.refresh(keeper);
  await kept.remove(keeper, null);
  expect(kept.removalFailed).toBe(true);
  expect(kept.models).toEqual([demo]);
  expect(kept.busy).toBe(false);
});

test.each([
  ['prompt', [demo], 0],
  ['denied', [demo], 0],
  ['granted', [], 0],
  ['granted', [demo], 1],
] as const)(
  'unasked, with the permission %s and %j kept, persistence is asked for %i times',
  async (state, models, times) => {
    const browser = browserOf(state);
    const keeper = keeperOf([...models]);
    const kept = new KeptModels(() => keeper, browser);
    await kept.refresh(keeper);
    await kept.keepForGoodUnasked();
    expect(browser.storage.persist).toHaveBeenCalledTimes(times);
  },
);

test('a click asks, and the outcome is told', async () => {
  const kept = new KeptModels(() => keeperOf([]), browserOf('prompt'));
  await kept.keepForGood();
  expect(kept.outcome).toBe('granted');
  expect(kept.storage.persistence).toBe('persistent');
});

test('a time is written in the language asked for, and one beyond the calendar as a dash', () => {
  const noon = Date.UTC(2026, 2, 14, 12);
  expect(dayAndTime(noon, 'en')).toContain('Mar 1');
  expect(dayAndTime(noon, 'zh-CN')).toContain('2026年3月1');
  expect(dayAndTime(1e300, 'en')).toBe('–');
});
