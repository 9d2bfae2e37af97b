// Bare ONNX files: what they compute is what PyTorch computes, and what they lack is told.
import { modelActivationNames } from '../../apps/web/src/contract/activation_table';
import { switchingOff } from '../../apps/web/src/inference/interventions';
import { expect, opened, test, type Answer } from './engine';
import { largestError, positions, readFixtures, reference, type Prompt } from './fixtures';

const fixtures = readFixtures('tiny-gpt2');

/** The address of a file in a folder that has no manifest. */
function bare(manifestUrl: string, file: string): string {
  return manifestUrl.replace(/manifest\.json$/, file);
}

/** Largest difference of the last logits, and of every activation. */
function errorOf({ start, tensors, lastLogits }: Answer, prompt: Prompt, end: number): number {
  const logits = positions('logits', reference(prompt, 'logits'), end - 1, end);
  const errors = [largestError(lastLogits, logits.data)];
  for (const [name, { data }] of tensors) {
    const expected = positions(name, reference(prompt, name), start, end);
    errors.push(largestError(data, expected.data));
  }
  return errors.some(Number.isNaN) ? NaN : Math.max(...errors);
}

for (const [what, bundle, file, hasTokenizer] of [
  ['with its weights beside it', 'bare-plain', 'model.plain.onnx', true],
  ['with its weights inside', 'bare-embedded', 'one_file.onnx', false],
] as const) {
  test(`a plain graph ${what} computes as PyTorch does, from the first token each time`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = fixtures.prompt('sentence');
    const url = bare(bundles.url(bundle), `${file}?v=3`);
    const before = bundles.requests.length;
    const model = opened(await engine.open({ url, provider }));
    expect(model).toMatchObject({ isBare: true, hasTokenizer });
    expect(model.activations).toContain('layer_0_attn_probs');
    // The query goes with what lies beside it.
    const requested = bundles.requests.slice(before);
    expect(requested.every((path) => path.endsWith('?v=3'))).toBe(true);
    expect(requested.map((path) => path.split('/').at(-1))).toContain('tokenizer.json?v=3');
    for (const end of [1, 5, prompt.ids.length]) {
      const answer = await engine.run({ ids: prompt.ids.slice(0, end), reuseCache: true });
      expect(answer.start).toBe(0);
      expect(answer.tensors.size).toBe(model.activations.length - 1);
      expect(errorOf(answer, prompt, end)).toBeLessThanOrEqual(tolerance);
    }
    const interventions = switchingOff(fixtures.headsOff);
    expect(await engine.tryRun({ ids: prompt.ids, reuseCache: true, interventions })).toMatchObject(
      { error: { kind: 'run' } },
    );
    expect(await engine.setActivations(['layer_0_mlp_act'])).toMatchObject({
      error: { kind: 'unknown-activation', got: 'layer_0_mlp_act' },
    });
  });
}

for (const [kind, bundle, file, model] of [
  ['an open graph', 'bare-open', 'model.open.onnx', 'tiny-gpt2'],
  ['a decoder', 'bare-decoder', 'model.onnx', 'tiny-gpt2'],
  [
    'an interactive graph of 1.x',
    'bare-interactive',
    'model.interactive.onnx',
    'earlier-tiny-gpt2',
  ],
] as const) {
  test(`${kind} keeps its cache, and opens what stands in it`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const { headsOff, ...given } = readFixtures(model);
    const prompt = given.prompt('sentence');
    const url = bare(bundles.url(bundle), file);
    const { manifest, isBare } = opened(await engine.open({ url, provider }));
    expect(isBare).toBe(true);
    // The end token comes with the graph, so that generating stops where the model does.
    expect(manifest.model).toMatchObject({ name: 'tiny-gpt2', eos_token_id: 0 });
    const all = modelActivationNames(manifest.model.shape).filter((name) => !name.includes('lens'));
    const { activations } = opened(await engine.setActivations(all));
    expect(new Set(activations)).toEqual(new Set(all));
    for (let end = 4; end <= prompt.ids.length; end += 5) {
      const answer = await engine.run({ ids: prompt.ids.slice(0, end), reuseCache: true });
      expect(answer.start).toBe(end === 4 ? 0 : end - 5);
      expect(errorOf(answer, prompt, end)).toBeLessThanOrEqual(tolerance);
    }
    const interventions = switchingOff(headsOff);
    const off = await engine.tryRun({ ids: prompt.ids, reuseCache: true, interventions });
    if (kind === 'a decoder') {
      expect(off).toMatchObject({
        error: { kind: 'run', detail: 'a decoder graph takes no interventions' },
      });
      return;
    }
    if ('error' in off) throw new Error(JSON.stringify(off.error));
    const expected = reference(prompt, 'logits_heads_off').data;
    expect(largestError(off.ok.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
  });
}

test('a graph that Oriel did not export is refused by name, and so is one without its weights', async ({
  engine,
  bundles,
  provider,
}) => {
  const strange = bare(bundles.url('bare-stranger'), 'model.onnx');
  expect(await engine.open({ url: strange, provider })).toMatchObject({
    error: { kind: 'not-a-model', path: 'model.onnx', reason: 'no-contract' },
  });
  const alone = bare(bundles.url('bare-decoder', 'model.onnx.data', 'missing'), 'model.onnx');
  expect(await engine.open({ url: alone, provider })).toMatchObject({
    error: { kind: 'not-found', status: 404 },
  });
  // A damaged manifest beside it is no reason to do without its digests.
  const damaged = bare(bundles.url('tiny-gpt2', 'manifest.json', 'not-json'), 'model.onnx');
  expect(await engine.open({ url: damaged, provider })).toMatchObject({
    error: { kind: 'not-a-manifest' },
  });
});
