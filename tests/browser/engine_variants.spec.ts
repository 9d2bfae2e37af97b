// Every variant opens on each provider where it can, and is as far from PyTorch as its manifest says, no farther.
import { sessionGraph } from '../../apps/web/src/contract/variant_graphs';
import type { Manifest, Variant } from '../../apps/web/src/contract/generated';
import type { Provider } from '../../apps/web/src/inference/model_types';
import { expect, opened, test, type Answer, type Engine } from './engine';
import { positions, readFixtures, reference, type Prompt } from './fixtures';
import {
  all,
  boundOf,
  divergence,
  models,
  providerError,
  refusedOnGpu,
  relativeError,
  spread,
  statedError,
} from './variant_bounds';

function expectStatedErrors(
  { tensors }: Answer,
  prompt: Prompt,
  { fidelity }: Variant,
  provider: Provider,
): void {
  let compared = 0;
  for (const [name, { data }] of tensors) {
    const right = positions(name, reference(prompt, name), 0, prompt.ids.length);
    const bound = spread * (statedError(fidelity, name) + providerError[provider]);
    expect(relativeError(data, right.data), name).toBeLessThanOrEqual(bound);
    compared++;
  }
  expect(compared).toBeGreaterThan(3);
}

/** Mean KL over the positions of a prompt, fed through the cache. */
async function meanDivergence(engine: Engine, prompt: Prompt): Promise<number> {
  const logits = reference(prompt, 'logits');
  let sum = 0;
  for (let end = 1; end <= prompt.ids.length; end++) {
    const { lastLogits } = await engine.run({ ids: prompt.ids.slice(0, end), reuseCache: true });
    sum += divergence(positions('logits', logits, end - 1, end).data, lastLogits);
  }
  return sum / prompt.ids.length;
}

function bytesOf({ files, tokenizer }: Manifest, variant: Variant): number {
  const ofText = [tokenizer?.tokenizer, tokenizer?.config, tokenizer?.cases];
  const used = [...variant.weights, sessionGraph(variant).path, ...ofText];
  return files.filter(({ path }) => used.includes(path)).reduce((sum, { bytes }) => sum + bytes, 0);
}

test('every variant is as faithful as its manifest says', async ({ engine, bundles, provider }) => {
  // Eight models on one page.
  test.slow();
  const url = bundles.url(models[provider].bundle);
  const prompt = readFixtures(models[provider].fixtures).prompt('sentence');
  const survey = await engine.survey({ url, provider });
  if ('error' in survey) throw new Error(JSON.stringify(survey.error));
  const { manifest } = survey.ok;
  expect(manifest.variants.map(({ name }) => name)).toEqual(all);
  for (const variant of manifest.variants) {
    await test.step(variant.name, async () => {
      const before = bundles.requests.length;
      const outcome = await engine.open({ url, provider, variant: variant.name });
      const refusal = provider === 'webgpu' ? refusedOnGpu[variant.name] : undefined;
      if (refusal !== undefined) {
        expect(outcome).toMatchObject({
          error: { kind: 'variant-refused', provider, refusal: { code: refusal } },
        });
        return;
      }
      const model = opened(outcome);
      expect(model.facts).toMatchObject({ provider, variantReason: { code: 'requested' } });
      const bytes = bytesOf(manifest, variant);
      // The tokenizer came with the first variant, and some share their weights.
      expect(model.timings.downloadedBytes + model.timings.keptBytes).toBe(bytes);
      expect(model.offer.variants.find(({ name }) => name === variant.name)?.bytes).toBe(bytes);
      // What is expanded here is not fetched in float32 as well.
      const requested = bundles.requests.slice(before).map((path) => path.split('/').at(-1));
      expect(requested.includes('model.onnx.data')).toBe(variant.name === 'fp32');

      const answer = await engine.run({ ids: prompt.ids, reuseCache: false });
      expectStatedErrors(answer, prompt, variant, provider);
      expect(await meanDivergence(engine, prompt)).toBeLessThanOrEqual(boundOf(variant));
    });
  }
});

test('a survey tells what opening would choose, and fetches no weights', async ({
  engine,
  bundles,
  provider,
}) => {
  const url = bundles.url('demo');
  const before = bundles.requests.length;
  const survey = await engine.survey({ url, provider: 'auto' });
  if ('error' in survey) throw new Error(JSON.stringify(survey.error));
  const { manifest, device, offer } = survey.ok;
  expect(device).toMatchObject({ webgpu: true, shaderF16: false, crossOriginIsolated: true });
  expect(offer.choice).toMatchObject({ variant: 'fp32', provider: 'wasm' });
  expect(offer.choice?.variantReason.code).toBe('small-model');
  for (const variant of offer.variants) {
    const described = manifest.variants.find(({ name }) => name === variant.name);
    expect(variant.fidelity).toEqual(described?.fidelity ?? null);
    expect(variant.on.wasm.refusal).toBeNull();
    const onGpu = provider === 'webgpu' ? (refusedOnGpu[variant.name] ?? null) : 'no-adapter';
    expect(variant.on.webgpu.refusal?.code ?? null).toBe(onGpu);
  }
  // Opening afterwards gives what was said, and asks for the manifest no second time.
  const model = opened(await engine.open({ url, provider: 'auto' }));
  expect(model.offer).toEqual(offer);
  expect(model.variant.name).toBe('fp32');
  const requested = bundles.requests.slice(before).map((path) => path.split('/').at(-1));
  expect(requested[0]).toBe('manifest.json');
  expect(requested.filter((file) => file === 'manifest.json')).toHaveLength(1);
});

test('taps open over expanded weights, with no second download', async ({
  engine,
  bundles,
  provider,
}) => {
  const prompt = readFixtures(models[provider].fixtures).prompt('sentence');
  const url = bundles.url(models[provider].bundle);
  const model = opened(await engine.open({ url, provider, variant: 'q8', activations: [] }));
  const before = bundles.requests.length;
  const names = ['layer_1_attn_z', 'layer_1_attn_probs', 'layer_0_mlp_act', 'layer_1_resid_mid'];
  expect(opened(await engine.setActivations(names)).activations).toEqual(
    expect.arrayContaining(names),
  );
  const answer = await engine.run({ ids: prompt.ids, reuseCache: true });
  expectStatedErrors(answer, prompt, model.variant, provider);
  expect(bundles.requests.length).toBe(before);
});

test('weights in several files are those of one file', async ({ engine, bundles, provider }) => {
  const prompt = readFixtures('tiny-llama').prompt('sentence');
  const url = bundles.url('split-llama');
  for (const name of ['fp32', 'int4']) {
    await test.step(name, async () => {
      const before = bundles.requests.length;
      const model = opened(await engine.open({ url, provider, variant: name }));
      const { weights } = model.variant;
      expect(weights.length).toBeGreaterThan(2);
      const requested = bundles.requests.slice(before).map((path) => path.split('/').at(-1));
      expect(requested).toEqual(expect.arrayContaining(weights));
      const answer = await engine.run({ ids: prompt.ids, reuseCache: true });
      expectStatedErrors(answer, prompt, model.variant, provider);
      // Kept by the browser, file by file.
      const again = bundles.requests.length;
      const kept = opened(await engine.open({ url, provider, variant: name }));
      expect(kept.timings.downloadedBytes).toBe(0);
      const anew = bundles.requests.slice(again).map((path) => path.split('/').at(-1));
      expect(anew.filter((path) => weights.includes(path ?? ''))).toEqual([]);
    });
  }
});
