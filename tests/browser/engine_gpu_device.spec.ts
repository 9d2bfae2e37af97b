// The GPU's device outlives the sessions of a model, so that its shaders are compiled once.
import type { Worker } from '@playwright/test';
import { expect, opened, test } from './engine';
import { readFixtures } from './fixtures';

declare global {
  // Only `var` declares a property of globalThis.
  var devicesMade: number;
}

test('another activation is opened on the same device', async ({
  engine,
  page,
  bundles,
  provider,
}) => {
  test.skip(provider !== 'webgpu', 'needs an adapter');
  const { ids } = readFixtures('tiny-gpt2').prompt('sentence');
  const made: number[] = [];
  // In the workers that have started, and in those to come.
  const countIn = (worker: Worker): Promise<void> =>
    worker
      .evaluate(() => {
        globalThis.devicesMade = 0;
        type Ask = (this: GPUAdapter, options?: GPUDeviceDescriptor) => Promise<GPUDevice>;
        const ask: Ask = Reflect.get(GPUAdapter.prototype, 'requestDevice');
        GPUAdapter.prototype.requestDevice = function (options) {
          globalThis.devicesMade += 1;
          return ask.call(this, options);
        };
      })
      .catch(() => undefined);
  await Promise.all(page.workers().map(countIn));
  page.on('worker', (worker) => void countIn(worker));
  opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider, activations: [] }));
  for (const name of ['layer_0_resid_post', 'layer_1_resid_post', 'layer_0_mlp_act']) {
    opened(await engine.setActivations([name]));
    const { tensors } = await engine.run({ ids, reuseCache: false });
    expect([...tensors.keys()]).toEqual([name]);
    const counts = page
      .workers()
      .map((worker) => worker.evaluate(() => globalThis.devicesMade).catch(() => 0));
    made.push(Math.max(...(await Promise.all(counts))));
  }
  expect(made).toEqual([1, 1, 1]);
});
