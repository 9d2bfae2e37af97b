// A cache of fixed length on WebGPU: every number equals PyTorch's, for whole texts, step by step, cut back and edited,
// and a text longer than the cache is refused in one line. On WebAssembly the page uses the growing cache.
import { modelActivationNames } from '../../apps/web/src/contract/activation_table';
import { editsFromJson } from '../../apps/web/src/inference/edit_json';
import { expect, opened, test } from './engine';
import { expectParity } from './expect_parity';
import { largestError, readFixtures, reference } from './fixtures';

/** Cache lengths with which scripts/browser_bundles.py exports these models. */
const cacheLength = 160;
const models = [
  ['tiny-gpt2', cacheLength],
  ['tiny-llama', 64],
] as const;

for (const [model, length] of models) {
  test(`${model}: a static cache gives every activation of PyTorch, step by step and cut back`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = readFixtures(model).prompt('long');
    const { ids } = prompt;
    const request = { url: bundles.url(model), provider, staticCache: true };
    const { manifest, variant } = opened(await engine.open(request));
    const graph = variant.open?.activations;
    expect(graph?.graph).toBe(provider === 'webgpu' ? 'static' : 'open');
    expect(graph?.cache_length).toBe(provider === 'webgpu' ? length : undefined);
    opened(await engine.setActivations(modelActivationNames(manifest.model.shape)));
    for (const [end, start] of [
      [20, 0],
      [21, 20],
      [22, 21],
      [ids.length, 22],
      // The slots still hold tokens after the end of the text.
      [10, 9],
      [15, 10],
    ] as const) {
      const answer = await engine.run({ ids: ids.slice(0, end), reuseCache: true });
      expect(answer.start).toBe(start);
      expectParity(answer, prompt, end, tolerance);
    }
  });

  test(`${model}: edits work with a static cache, including those of attention`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = readFixtures(model).prompt('sentence');
    const { ids } = prompt;
    opened(await engine.open({ url: bundles.url(model), provider, staticCache: true }));
    const untouched = reference(prompt, 'logits').data;
    const kinds = new Set<string>();
    for (const { name, edits, logits } of prompt.saidEdits) {
      const interventions = editsFromJson({ edits_version: '1.0', edits });
      for (const { edit } of interventions) kinds.add(edit);
      const whole = await engine.run({ ids, reuseCache: false, keepCache: false, interventions });
      expect(largestError(whole.lastLogits, logits.data), name).toBeLessThanOrEqual(tolerance);
      const difference = largestError(logits.data, untouched.slice(-logits.data.length));
      expect(difference, `${name} must matter`).toBeGreaterThan(0.01);
      await engine.run({ ids: ids.slice(0, 6), reuseCache: true, interventions });
      const rest = await engine.run({ ids, reuseCache: true, interventions });
      expect(largestError(rest.lastLogits, logits.data), name).toBeLessThanOrEqual(tolerance);
    }
    expect(kinds).toContain('knock-out');
  });
}

test('a text longer than a static cache is refused in one line and changes nothing', async ({
  engine,
  bundles,
  provider,
}) => {
  test.skip(provider !== 'webgpu', 'the page uses the growing cache');
  const { ids } = readFixtures('tiny-gpt2').prompt('long');
  const text = [...ids, ...ids];
  opened(
    await engine.open({
      url: bundles.url('tiny-gpt2'),
      provider,
      staticCache: true,
      activations: [],
    }),
  );
  await engine.run({ ids: text.slice(0, cacheLength - 1), reuseCache: true });
  const tooLong = await engine.tryRun({ ids: text.slice(0, cacheLength + 1), reuseCache: true });
  expect(tooLong).toEqual({
    error: { kind: 'too-long', tokens: cacheLength + 1, limit: cacheLength },
  });
  const last = await engine.run({ ids: text.slice(0, cacheLength), reuseCache: true });
  expect(last.start).toBe(cacheLength - 1);
});
