// Whatever goes wrong on the way to a model arrives as its own kind of error, never as a hang or a guess.
import type { ModelErrorData } from '../../apps/web/src/inference/model_types';
import type { Fault } from './bundle_server';
import { expect, opened, test } from './engine';

const weights = 'model.onnx.data';

const cases: [title: string, file: string, fault: Fault, error: Partial<ModelErrorData>][] = [
  ['a manifest that is not there', 'manifest.json', 'missing', { kind: 'not-found', status: 404 }],
  [
    'a start page instead of a manifest',
    'manifest.json',
    'html',
    {
      kind: 'not-a-manifest',
      detail: 'the server sent an HTML page, as many do for addresses they do not know',
    },
  ],
  ['a manifest that is not JSON', 'manifest.json', 'not-json', { kind: 'not-a-manifest' }],
  [
    'another major version of the contract',
    'manifest.json',
    'other-major',
    { kind: 'contract-version', got: '3.0', supported: '1.x, 2.x' },
  ],
  ['a path that leaves the bundle', 'manifest.json', 'bad-path', { kind: 'not-a-manifest' }],
  ['weights that are not there', weights, 'missing', { kind: 'not-found', status: 404 }],
  ['a start page instead of weights', weights, 'html', { kind: 'not-found', status: 200 }],
  ['truncated weights', weights, 'truncated', { kind: 'integrity', path: weights }],
  ['weights with something behind them', weights, 'longer', { kind: 'integrity', path: weights }],
  ['one flipped bit in the weights', weights, 'corrupted', { kind: 'integrity', path: weights }],
  [
    'one flipped bit in the graph',
    'model.open.onnx',
    'corrupted',
    { kind: 'integrity', path: 'model.open.onnx' },
  ],
  ['a connection that ends early', weights, 'cut-off', { kind: 'network' }],
];

for (const [title, file, fault, error] of cases) {
  test(title, async ({ engine, bundles }) => {
    const url = bundles.url('tiny-gpt2', file, fault);
    const outcome = await engine.open({ url, provider: 'wasm' });
    expect(outcome).toMatchObject({ error });
    // The page is not stuck: the next model opens.
    opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider: 'wasm' }));
  });
}

test('a server that does not answer', async ({ engine, bundles }) => {
  const closed = new URL(bundles.url('tiny-gpt2'));
  closed.port = '9';
  expect(await engine.open({ url: closed.href, provider: 'wasm' })).toMatchObject({
    error: { kind: 'network', url: closed.href },
  });
});

test('a newer minor version of the contract opens, and what it adds is ignored', async ({
  engine,
  bundles,
}) => {
  const url = bundles.url('tiny-gpt2', 'manifest.json', 'newer-minor');
  const model = opened(await engine.open({ url, provider: 'wasm' }));
  expect(model.manifest.contract_version).toBe('2.999');
});

test('a download is aborted, and the same model opens afterwards', async ({ engine, bundles }) => {
  const url = bundles.url('tiny-gpt2', weights, 'stalled');
  const outcome = await engine.open({ url, provider: 'wasm' }, 1);
  expect(outcome).toMatchObject({ error: { kind: 'aborted' } });
  const received = outcome.progress.filter(({ phase }) => phase === 'download');
  expect(received.at(-1)?.receivedBytes).toBeGreaterThan(0);
  opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider: 'wasm' }));
});

test('progress counts every byte that was promised, and no more', async ({ engine, bundles }) => {
  const url = bundles.url('tiny-gpt2');
  const { progress, ...outcome } = await engine.open({ url, provider: 'wasm' });
  const { timings } = opened(outcome);
  const counts = progress.filter(({ phase }) => phase === 'download');
  expect(counts.at(-1)).toEqual({
    phase: 'download',
    receivedBytes: timings.downloadedBytes,
    totalBytes: timings.downloadedBytes,
    keptBytes: 0,
    waiting: null,
  });
  const received = counts.map(({ receivedBytes }) => receivedBytes);
  expect(received).toEqual(received.toSorted((a, b) => a - b));
  expect(new Set(progress.map(({ phase }) => phase))).toEqual(
    new Set(['manifest', 'download', 'runtime', 'session']),
  );
});

test('a model.onnx with a query opens, and the query goes with every file', async ({
  engine,
  bundles,
}) => {
  const before = bundles.requests.length;
  const url = bundles.url('tiny-gpt2').replace('manifest.json', 'model.onnx?v=3');
  opened(await engine.open({ url, provider: 'wasm' }));
  const requested = bundles.requests.slice(before).map((path) => path.split('/').at(-1));
  expect(requested.toSorted()).toEqual(
    [
      'manifest.json?v=3',
      'model.open.onnx?v=3',
      'model.onnx.data?v=3',
      'tokenizer.json?v=3',
      'tokenizer_cases.json?v=3',
      'tokenizer_config.json?v=3',
    ].toSorted(),
  );
});

test('WebGPU that is not there is said, not replaced', async ({ engine }) => {
  const url = 'models/demo/manifest.json';
  expect(await engine.open({ url, provider: 'webgpu' })).toMatchObject({
    error: { kind: 'provider-unavailable', provider: 'webgpu' },
  });
  const { facts } = opened(await engine.open({ url, provider: 'auto' }));
  expect(facts).toMatchObject({ provider: 'wasm', adapter: null });
  expect(['no-webgpu', 'no-adapter']).toContain(facts.reason);
});

test('only the runtime build in use is fetched', async ({ engine, page }) => {
  const binaries: string[] = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (response.headers()['content-type'] === 'application/wasm') binaries.push(pathname);
  });
  opened(await engine.open({ url: 'models/demo/manifest.json', provider: 'wasm' }));
  expect(binaries).toEqual([expect.stringMatching(/ort-wasm-simd-threaded\.wasm$/)]);
});

test('what cannot be asked of a model is refused in its own words', async ({ engine, bundles }) => {
  const url = bundles.url('tiny-llama');
  expect(await engine.tryRun({ ids: [1], reuseCache: true })).toMatchObject({
    error: { kind: 'session' },
  });
  expect(await engine.open({ url, provider: 'wasm', variant: 'int3' })).toMatchObject({
    error: { kind: 'unknown-variant', got: 'int3', known: ['fp32'] },
  });
  expect(
    await engine.open({ url, provider: 'wasm', activations: ['layer_7_attn_probs'] }),
  ).toMatchObject({ error: { kind: 'unknown-activation', got: 'layer_7_attn_probs' } });
  opened(await engine.open({ url, provider: 'wasm' }));
  const run = (ids: number[]): Promise<unknown> => engine.tryRun({ ids, reuseCache: true });
  expect(await run([])).toMatchObject({ error: { kind: 'bad-tokens' } });
  expect(await run([0, 61])).toMatchObject({ error: { kind: 'bad-tokens' } });
  expect(await run([0.5])).toMatchObject({ error: { kind: 'bad-tokens' } });
  // What a tokenizer gives for a token that its vocabulary lacks.
  const hole = [0, undefined] as unknown as number[];
  expect(await run(hole)).toMatchObject({ error: { kind: 'bad-tokens' } });
  expect(await run(Array.from({ length: 65 }, () => 1))).toMatchObject({
    error: { kind: 'too-long', tokens: 65, limit: 64 },
  });
  // An unknown tap leaves the open session as it was.
  expect(await engine.setActivations(['layer_0_dreams'])).toMatchObject({
    error: { kind: 'unknown-activation', got: 'layer_0_dreams' },
  });
  expect(await run([1, 2, 3])).toHaveProperty('ok');
  expect(await engine.encode('text').catch((error: unknown) => String(error))).toContain(
    'no-tokenizer',
  );
});

test('a newer run takes the place of one that waits', async ({ engine, page, bundles }) => {
  opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider: 'wasm' }));
  const outcomes = await page.evaluate(async () => {
    const ids = Array.from({ length: 100 }, (_, index) => index);
    const runs = [1, 2, 3, 4].map((end) => client.run({ ids: ids.slice(end), reuseCache: false }));
    return (await Promise.allSettled(runs)).map((run) =>
      run.status === 'fulfilled'
        ? run.value.ids.length
        : (run.reason as { data: { kind: string } }).data.kind,
    );
  });
  expect(outcomes).toEqual([99, 'aborted', 'aborted', 96]);
});

test('long runs leave the main thread free', async ({ engine, page }) => {
  opened(await engine.open({ url: 'models/demo/manifest.json', provider: 'wasm' }));
  const ticksDuringRun = await page.evaluate(async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 0);
    const ids = Array.from({ length: 256 }, (_, index) => index);
    await client.run({ ids, reuseCache: false });
    clearInterval(timer);
    return ticks;
  });
  // Had the run held the main thread, no timer could have fired before it was over.
  expect(ticksDuringRun).toBeGreaterThan(0);
});

test('a worker that cannot start is an error, not a wait', async ({ page, engine }) => {
  await page.route(/model\.worker/, (route) => route.abort());
  await engine.start();
  expect(await engine.open({ url: 'models/demo/manifest.json', provider: 'wasm' })).toMatchObject({
    error: { kind: 'session' },
  });
});
