// Dictionaries that the worker holds: one load for callers at the same time, and none for what is held.
import { expect, test } from 'vitest';
import { HeldDictionaries } from '../../apps/web/src/inference/held_dictionaries';
import type { LoadedDictionary } from '../../apps/web/src/inference/load_dictionary';
import { ModelError } from '../../apps/web/src/inference/model_error';

const dictionary = (): LoadedDictionary =>
  // Nothing of it is read.
  ({ bytes: new Uint8Array(1) }) as unknown as LoadedDictionary;

class Loads {
  readonly begun: {
    resolve: (loaded: LoadedDictionary) => void;
    reject: (error: Error) => void;
  }[] = [];
  readonly load = (): Promise<LoadedDictionary> =>
    new Promise((resolve, reject) => this.begun.push({ resolve, reject }));
}

test('callers at the same time share one load, and later ones what is held', async () => {
  const [held, loads] = [new HeldDictionaries(), new Loads()];
  const both = [held.hold('a', loads.load), held.hold('a', loads.load)];
  expect(loads.begun).toHaveLength(1);
  const given = dictionary();
  loads.begun[0]?.resolve(given);
  for (const got of await Promise.all(both)) expect(got).toBe(given);
  expect(await held.hold('a', loads.load)).toBe(given);
  expect(loads.begun).toHaveLength(1);
});

test('a caller loads by itself where the other one aborted, and fails with it else', async () => {
  const [held, loads] = [new HeldDictionaries(), new Loads()];
  const first = held.hold('a', loads.load);
  const second = held.hold('a', loads.load);
  loads.begun[0]?.reject(new ModelError({ kind: 'aborted' }));
  await expect(first).rejects.toMatchObject({ data: { kind: 'aborted' } });
  await expect.poll(() => loads.begun.length).toBe(2);
  const third = held.hold('a', loads.load);
  const failure = new ModelError({ kind: 'run', detail: 'no memory' });
  loads.begun[1]?.reject(failure);
  await expect(second).rejects.toBe(failure);
  await expect(third).rejects.toBe(failure);
  expect(loads.begun).toHaveLength(2);
});

test('only the last two are held, and a load for another model is not', async () => {
  const [held, loads] = [new HeldDictionaries(), new Loads()];
  const now = (): Promise<LoadedDictionary> => Promise.resolve(dictionary());
  for (const name of ['a', 'b', 'a', 'c']) await held.hold(name, now);
  const again = held.hold('b', loads.load);
  expect(loads.begun).toHaveLength(1);
  await held.hold('a', loads.load);
  held.clear();
  loads.begun[0]?.resolve(dictionary());
  await again;
  void held.hold('b', loads.load);
  expect(loads.begun).toHaveLength(2);
});
