// Attribution by the page's engine: the shares of a logit equal PyTorch's, a head that an edit switches off has no
// share, and the shares sum to the logit in every variant that the provider runs. The parts of a score equal PyTorch's
// too.
import { headAttribution, totalAttribution } from '../../apps/web/src/analysis/attribution';
import {
  attributeScore,
  scoreActivations,
  scoreRuns,
} from '../../apps/web/src/inference/attribute_score';
import {
  sourceActivations,
  sourceEdits,
  sourceShares,
  upcomingSourceEdits,
} from '../../apps/web/src/inference/attribute_sources';
import type { ModelShape } from '../../apps/web/src/contract/generated';
import type { Edit } from '../../apps/web/src/inference/edits';
import type { BatchRequest } from '../../apps/web/src/inference/model_types';
import { runsTogether } from '../../apps/web/src/inference/runs_together';
import { expect, opened, test, type Engine, type EngineOptions } from './engine';
import { largestError, readFixtures, reference } from './fixtures';

/** Variants that run on WebGPU without `shader-f16`. */
const onAnyProvider = ['fp32', 'f16', 'q8', 'q4', 'int4'];
const onWasm = [...onAnyProvider, 'fp16', 'int8', 'int8_static'];

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Open a bundle in fp32 with no activation of its own, and return the model's shape. */
async function openBare(
  engine: Engine,
  url: string,
  provider: EngineOptions['provider'],
): Promise<ModelShape> {
  const model = opened(await engine.open({ url, provider, variant: 'fp32', activations: [] }));
  return model.manifest.model.shape;
}

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: every part's share equals PyTorch's`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const fixtures = readFixtures(model);
    const prompt = fixtures.prompt('sentence');
    const [answer, other] = fixtures.attributed;
    const right = (part: string) => reference(prompt, `attribution_${part}`).data;
    const request = { url: bundles.url(model), provider, variant: 'fp32' } as const;
    const { manifest } = opened(await engine.open(request));
    const { ids } = prompt;
    const run = await engine.run({
      ids,
      reuseCache: false,
      attribution: { answer, other, neuronsOf: 1 },
    });
    const { attribution } = run;
    if (attribution === null) throw new Error('no attribution');
    const within = (got: ArrayLike<number>, part: string) => {
      expect(largestError(got as Float32Array, right(part)), part).toBeLessThanOrEqual(tolerance);
    };
    within(attribution.embedding, 'embedding');
    within(Float32Array.of(attribution.bias), 'bias');
    within(attribution.logit, 'logit');
    for (let layer = 0; layer < manifest.model.shape.layers; layer++) {
      within(attribution.heads[layer] ?? [], `heads_${layer}`);
      within(attribution.attentionRest[layer] ?? [], `rest_${layer}`);
      within(attribution.mlps[layer] ?? [], `mlp_${layer}`);
    }
    within(attribution.neurons ?? [], 'neurons_1');
    within(Float32Array.from(totalAttribution(attribution)), 'logit');
    // The session keeps the taps: runs without attribution are unchanged, and a cached text gets the new tokens'
    // shares.
    const plain = await engine.run({ ids: ids.slice(0, 6), reuseCache: true });
    expect(plain.attribution).toBeNull();
    const rest = await engine.run({
      ids,
      reuseCache: true,
      attribution: { answer, other },
      interventions: [],
    });
    const { start } = rest;
    expect(rest.attribution?.logit.length).toBe(ids.length - start);
    expect(
      largestError(rest.attribution?.logit ?? new Float32Array(), right('logit').slice(start)),
    ).toBeLessThanOrEqual(tolerance);
    const off = await engine.run({
      ids,
      reuseCache: false,
      keepCache: false,
      attribution: { answer, other },
      interventions: [{ edit: 'scale', joint: 'attn_z', layer: 1, head: 0 }],
    });
    if (off.attribution === null) throw new Error('no attribution');
    expect(largest(headAttribution(off.attribution, 1, 0))).toBe(0);
    expect(largest(headAttribution(attribution, 1, 0))).toBeGreaterThan(0.01);
  });
}

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: what each head takes from each token equals PyTorch's`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const fixtures = readFixtures(model);
    const prompt = fixtures.prompt('sentence');
    const { ids } = prompt;
    const [answer, other] = fixtures.attributed;
    const shape = await openBare(engine, bundles.url(model), provider);
    const alone = { ids, reuseCache: false, keepCache: false, attribution: { answer, other } };
    const names = sourceActivations(shape);
    const upcoming = upcomingSourceEdits(shape);
    const first = await engine.run({ ...alone, activations: names, upcoming });
    expect([...first.tensors.keys()].sort()).toEqual([...names].sort());
    const interventions = sourceEdits(shape, ids.length, first.tensors);
    const { attribution } = await engine.run({ ...alone, activations: [], interventions });
    if (attribution === null) throw new Error('no attribution');
    const found = sourceShares(shape, attribution, first.tensors);
    for (const [layer, shares] of found.entries()) {
      const right = reference(prompt, `attribution_sources_${layer}`).data;
      expect(largestError(shares, right), `layer ${layer}`).toBeLessThanOrEqual(tolerance);
      expect(largest(shares)).toBeGreaterThan(0.01);
    }
    // The page's own runs give what is open, as before.
    expect((await engine.run({ ids, reuseCache: true })).tensors.size).toBe(0);
  });
}

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: the parts of an attention score equal PyTorch's`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const fixtures = readFixtures(model);
    const prompt = fixtures.prompt('sentence');
    const [layer, head, query, key] = fixtures.scored;
    const right = reference(prompt, 'attribution_score');
    const shape = await openBare(engine, bundles.url(model), provider);
    let runs = 0;
    const run = async (
      ids: readonly number[],
      interventions: readonly Edit[],
      activations: readonly string[],
    ) => {
      runs++;
      const alone = { reuseCache: false, keepCache: false };
      return (await engine.run({ ids, ...alone, interventions, activations })).tensors;
    };
    const score = { layer, head, query, key };
    const found = await attributeScore(run, shape, prompt.ids, score);
    expect(found.values.dims).toEqual(right.dims);
    expect(found.parts.length).toBe(right.dims[0]);
    expect(runs).toBe(scoreRuns(shape, layer));
    const bound = tolerance * Math.max(1, largest(right.data));
    expect(largestError(Float32Array.from(found.values.data), right.data)).toBeLessThanOrEqual(
      bound,
    );
    const sum = found.values.data.reduce((total, value) => total + value, 0);
    expect(Math.abs(sum - found.score)).toBeLessThanOrEqual(1e-3 * largest(right.data));
    await expect(attributeScore(run, shape, [1, 2], score)).rejects.toThrow(
      `got query ${query} and key ${key} of 2 tokens`,
    );
  });
}

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: the parts of a score are the same from few batches`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const { ids } = readFixtures(model).prompt('sentence');
    const [layer, head, query, key] = readFixtures(model).scored;
    const right = reference(readFixtures(model).prompt('sentence'), 'attribution_score');
    const shape = await openBare(engine, bundles.url(model), provider);
    let batches = 0;
    const runBatch = (request: BatchRequest) => {
      batches++;
      return engine.runBatch(request);
    };
    const run = runsTogether({ runBatch, shape, names: scoreActivations(layer) });
    const found = await attributeScore(run, shape, ids, { layer, head, query, key }, true);
    const bound = tolerance * Math.max(1, largest(right.data));
    expect(largestError(Float32Array.from(found.values.data), right.data)).toBeLessThanOrEqual(
      bound,
    );
    // The text, its heads alone, three streams and the whole one that measure the norm, and all parts.
    expect(batches).toBe(5);
    // The page's own runs give what is open, as before.
    expect((await engine.run({ ids, reuseCache: true })).tensors.size).toBe(0);
  });
}

test('the shares sum to the logit in every variant', async ({ engine, bundles, provider }) => {
  const fixtures = readFixtures('tiny-gpt2');
  const { ids } = fixtures.prompt('sentence');
  const [answer, other] = fixtures.attributed;
  for (const variant of provider === 'wasm' ? onWasm : onAnyProvider) {
    const url = bundles.url('tiny-gpt2');
    opened(await engine.open({ url, provider, variant, activations: [] }));
    const run = await engine.run({ ids, reuseCache: false, attribution: { answer, other } });
    if (run.attribution === null) throw new Error(`${variant} has no attribution`);
    const { logit } = run.attribution;
    const bound = 1e-3 * largest(logit);
    expect(
      largestError(Float32Array.from(totalAttribution(run.attribution)), logit),
      variant,
    ).toBeLessThanOrEqual(bound);
    const ownLogit = (run.lastLogits[answer] ?? NaN) - (run.lastLogits[other] ?? NaN);
    // Kernels that round the last product: compare with the run's own logit.
    const rounding = variant.startsWith('int') ? 0.05 * largest(logit) : bound;
    expect(Math.abs((logit.at(-1) ?? NaN) - ownLogit), variant).toBeLessThanOrEqual(rounding);
  }
});

test(
  'a variant without attribution, and unknown tokens and layers, are refused in one line',
  { tag: '@any-device' },
  async ({ engine, bundles, provider }) => {
    const { ids } = readFixtures('tiny-gpt2').prompt('sentence');
    opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider }));
    const ask = (attribution: { answer: number; neuronsOf?: number }) =>
      engine.tryRun({ ids, reuseCache: true, attribution });
    expect(await ask({ answer: 4096 })).toMatchObject({
      error: { kind: 'bad-tokens', detail: '4096 is not in 0 … 4095' },
    });
    expect(await ask({ answer: 1, neuronsOf: 2 })).toMatchObject({
      error: { kind: 'run', detail: 'the model has no such layer; got layer 2; expected 0 to 1' },
    });
    opened(await engine.open({ url: bundles.url('earlier-tiny-gpt2'), provider }));
    const older = { ids: [1, 2], reuseCache: true };
    expect(await engine.tryRun({ ...older, attribution: { answer: 1 } })).toMatchObject({
      error: { kind: 'no-attribution' },
    });
    expect(await engine.run(older)).toMatchObject({ attribution: null });
  },
);
