// A variant that breaks down says what it was and what to try next; nothing is replaced in silence, and the next one works.
import type { Attempt } from '../../apps/web/src/inference/model_types';
import { expect, opened, test, type Outcome } from './engine';

const ids = [5, 9, 2, 300];

test.describe('on wasm', () => {
  test.beforeEach(({ provider }) => {
    test.skip(provider !== 'wasm', 'one provider is enough');
  });

  test('a heap that cannot grow ends in what takes less memory', async ({
    page,
    engine,
    bundles,
  }) => {
    // The runtime's own heap, made so small that float32 weights do not fit: 400 pages of 64 KiB.
    await page.route(/ort-wasm-simd-threaded\.mjs/, async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace('maximum:65536', 'maximum:400');
      await route.fulfill({ response, body });
    });
    await engine.start();
    const url = bundles.url('demo');
    const outcome = await engine.open({ url, provider: 'wasm', variant: 'fp32' });
    expect(outcome).toMatchObject({
      error: {
        kind: 'session',
        failure: { variant: 'fp32', provider: 'wasm', cause: 'out-of-memory' },
      },
    });
    const next = nextOf(outcome);
    expect(['int8', 'int8_static', 'int4']).toContain(next.variant);
    opened(await engine.open({ url, ...next }));
    expect((await engine.run({ ids, reuseCache: false })).lastLogits.length).toBeGreaterThan(0);
  });

  for (const file of ['model_q8.onnx.data', 'model_q4.onnx.data', 'model_f16.onnx.data']) {
    test(`one flipped bit in ${file} is found before the runtime sees any of it`, async ({
      engine,
      bundles,
    }) => {
      const variant = /_(.*)\.onnx/.exec(file)?.[1] ?? '';
      const url = bundles.url('demo', file, 'corrupted');
      const { progress, ...outcome } = await engine.open({ url, provider: 'wasm', variant });
      expect(outcome).toMatchObject({ error: { kind: 'integrity', path: file } });
      expect(progress.map(({ phase }) => phase)).not.toContain('session');
    });
  }
});

test.describe('on WebGPU', () => {
  test.beforeEach(({ provider }) => {
    test.skip(provider !== 'webgpu', 'needs an adapter');
  });

  test('float16 that the adapter lacks is refused before a download', async ({
    engine,
    bundles,
  }) => {
    const before = bundles.requests.length;
    const url = bundles.url('tiny-gpt2');
    expect(await engine.open({ url, provider: 'webgpu', variant: 'fp16' })).toMatchObject({
      error: {
        ...{ kind: 'variant-refused', variant: 'fp16', provider: 'webgpu' },
        refusal: { code: 'needs-f16' },
        next: { provider: 'webgpu' },
      },
    });
    expect(bundles.requests.length).toBe(before + 1);
  });

  test('float16 that the manifest hides fails at opening, by its first run', async ({
    engine,
    bundles,
  }) => {
    const url = bundles.url('tiny-gpt2', 'manifest.json', 'hides-float16');
    const outcome = await engine.open({ url, provider: 'webgpu', variant: 'fp16' });
    expect(outcome).toMatchObject({
      error: {
        kind: 'session',
        failure: { variant: 'fp16', provider: 'webgpu', cause: 'no-f16' },
      },
    });
    const next = nextOf(outcome);
    opened(await engine.open({ url, ...next }));
    expect((await engine.run({ ids, reuseCache: false })).lastLogits.length).toBeGreaterThan(0);
  });

  test('a GPU that is lost ends the run, and wasm is offered', async ({
    engine,
    page,
    bundles,
  }) => {
    const url = bundles.url('tiny-gpt2');
    opened(await engine.open({ url, provider: 'webgpu', variant: 'fp32', activations: [] }));
    const browser = await page.context().browser()?.newBrowserCDPSession();
    // A process that dies answers no more.
    void browser?.send('Browser.crashGpuProcess').catch(() => undefined);
    await expect
      .poll(async () => engine.tryRun({ ids, reuseCache: false }), { timeout: 30_000 })
      .toMatchObject({
        error: {
          kind: 'run',
          failure: { variant: 'fp32', provider: 'webgpu', cause: 'device-lost' },
        },
      });
    const outcome = await engine.tryRun({ ids, reuseCache: false });
    const next = nextOf(outcome);
    expect(next.provider).toBe('wasm');
    opened(await engine.open({ url, ...next }));
    expect((await engine.run({ ids, reuseCache: false })).lastLogits.length).toBeGreaterThan(0);
  });
});

/** What a failure offers instead. */
function nextOf(outcome: Outcome<unknown>): Attempt {
  const error = 'error' in outcome ? outcome.error : null;
  const failed = error?.kind === 'session' || error?.kind === 'run';
  const next = failed ? error.failure?.next : null;
  if (!next) throw new Error(`nothing is offered: ${JSON.stringify(outcome)}`);
  return next;
}
