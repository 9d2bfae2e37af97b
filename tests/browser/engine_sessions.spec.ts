// Other activations and edits of the open model: which changes need another session, and what answers until it is
// ready.
import type { Page } from '@playwright/test';
import { switchingOff, type Interventions } from '../../apps/web/src/inference/interventions';
import type { ModelErrorData } from '../../apps/web/src/inference/model_types';
import { expectParity } from './expect_parity';
import { expect, opened, test, type Engine } from './engine';
import { readFixtures } from './fixtures';
import { startWeatherServer } from './weather_server';

const url = 'models/demo/manifest.json';
const prompt = readFixtures('demo').prompt('sentence');

/** Milliseconds that creating a run's session took; null if the open session served. */
function sessionMs(page: Page, interventions: Interventions): Promise<number | null> {
  return page.evaluate(
    async ([ids, interventions]) => {
      const { timings } = await client.run({ ids, reuseCache: true, interventions });
      return timings.sessionMs ?? null;
    },
    [prompt.ids, interventions] as const,
  );
}

async function open(engine: Engine): Promise<readonly string[]> {
  const { activations } = opened(await engine.open({ url, provider: 'wasm', variant: 'fp32' }));
  return activations;
}

test('scaling heads needs no new session; another kind of edit needs one, once', async ({
  engine,
  page,
}) => {
  await open(engine);
  expect(await sessionMs(page, [])).toBeNull();
  expect(await sessionMs(page, switchingOff([[1, 2]]))).toBeNull();
  expect(
    await sessionMs(page, [{ edit: 'scale', joint: 'attn_z', layer: 0, head: 1, factor: 0.5 }]),
  ).toBeNull();
  const ofNeurons = [{ edit: 'scale', joint: 'mlp_act', layer: 0, neurons: [3], factor: 0 }];
  expect(await sessionMs(page, ofNeurons as Interventions)).toBeGreaterThan(0);
  expect(await sessionMs(page, ofNeurons as Interventions)).toBeNull();
});

/** Starts preparing a session in the page, and reports the state of the promise. */
async function prepare(page: Page, activations: readonly string[]): Promise<void> {
  await page.evaluate((activations) => {
    const stop = new AbortController();
    const state: Preparing = { stop, is: 'under way', error: null, use: null };
    globalThis.preparing = state;
    client.prepare({ activations, interventions: [] }, stop.signal).then(
      (session) => {
        state.is = 'ready';
        state.use = () => session.use();
      },
      (error: unknown) => {
        state.is = 'failed';
        state.error = (error as { data: ModelErrorData }).data;
      },
    );
  }, activations);
}

interface Preparing {
  readonly stop: AbortController;
  is: 'under way' | 'ready' | 'failed';
  error: ModelErrorData | null;
  use: (() => Promise<void>) | null;
}

declare global {
  // Only `var` declares a property of globalThis.
  var preparing: Preparing;
}

test('a session with a new tap is created while the open session answers', async ({
  engine,
  page,
}) => {
  const before = await open(engine);
  const names = ['layer_1_mlp_act', 'layer_0_q'];
  const workers = page.workers().length;
  await prepare(page, names);
  const meanwhile = await engine.run({ ids: prompt.ids, reuseCache: true });
  expect(await page.evaluate(() => preparing.is), 'the answer came first').toBe('under way');
  expectParity(meanwhile, prompt, prompt.ids.length, 1e-4);
  expect([...meanwhile.tensors.keys()]).toEqual(before.filter((name) => name !== 'logits'));
  await page.waitForFunction(() => preparing.is !== 'under way');
  expect(await page.evaluate(() => preparing)).toMatchObject({ is: 'ready', error: null });
  // The session isn't replaced before `use`, nor during an answer.
  const last = engine.run({ ids: prompt.ids, reuseCache: false });
  await page.evaluate(() => preparing.use?.());
  expect([...(await last).tensors.keys()]).toEqual([...meanwhile.tensors.keys()]);
  const after = await engine.run({ ids: prompt.ids, reuseCache: true });
  expect(after.start, 'another session, another cache').toBe(0);
  expect([...after.tensors.keys()].sort()).toEqual([...names].sort());
  expectParity(after, prompt, prompt.ids.length, 1e-4);
  await expect.poll(() => page.workers().length, 'the first worker is gone').toBe(workers);
  opened(await engine.setActivations(['final_norm']));
});

test('a session that is cancelled while it is created leaves nothing behind', async ({
  engine,
  page,
}) => {
  await open(engine);
  const workers = page.workers().length;
  await prepare(page, ['layer_1_mlp_act']);
  await page.evaluate(() => {
    preparing.stop.abort();
  });
  await page.waitForFunction(() => preparing.is !== 'under way');
  expect(await page.evaluate(() => preparing.error)).toEqual({ kind: 'aborted' });
  await expect.poll(() => page.workers().length).toBe(workers);
  expectParity(
    await engine.run({ ids: prompt.ids, reuseCache: true }),
    prompt,
    prompt.ids.length,
    1e-4,
  );
});

/** Removes all stored pieces of models, as the browser or another tab does when storage runs out. */
function clearStore(page: Page): Promise<void> {
  return page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    await root.removeEntry('oriel', { recursive: true });
  });
}

test('weights that were removed from the store are downloaded again for the next session', async ({
  engine,
  page,
}) => {
  await open(engine);
  await clearStore(page);
  opened(await engine.setActivations(['layer_1_mlp_act']));
  const answer = await engine.run({ ids: prompt.ids, reuseCache: true });
  expect([...answer.tensors.keys()]).toEqual(['layer_1_mlp_act']);
  expectParity(answer, prompt, prompt.ids.length, 1e-4);
});

test('the open session stays if removed weights cannot be downloaded again', async ({
  engine,
  page,
}) => {
  const host = await startWeatherServer();
  try {
    const model = opened(await engine.open({ url: host.url, provider: 'wasm', variant: 'fp32' }));
    await clearStore(page);
    host.weather = () => 'missing';
    const outcome = await engine.setActivations(['layer_1_mlp_act']);
    expect(outcome).toMatchObject({ error: { kind: 'not-found', status: 404 } });
    const answer = await engine.run({ ids: [1, 2, 3], reuseCache: true });
    expect(['logits', ...answer.tensors.keys()]).toEqual(model.activations);
  } finally {
    await host.close();
  }
});
