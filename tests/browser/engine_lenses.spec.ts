// Reads layers through lens packs: the numbers equal PyTorch's, a pack is downloaded only when it is selected, and a
// damaged one changes nothing. tests/web/read_lens_pack.test.ts covers the file's contents.
import { expect, opened, test } from './engine';
import { expectParity } from './expect_parity';
import { readFixtures, reference, type Prompt } from './fixtures';

const kinds = ['tuned', 'jacobian'] as const;

/** Return the prompt with PyTorch's predictions through this lens as its expected lens. */
function readThrough(prompt: Prompt, kind: string): Prompt {
  const tensors = new Map(prompt.tensors);
  for (const name of prompt.tensors.keys()) {
    const lens = name.replace('_lens_', `_${kind}_`);
    if (lens !== name) tensors.set(name, reference(prompt, lens));
  }
  return { ...prompt, tensors };
}

function lensNames(layers: number): string[] {
  return Array.from({ length: layers }, (_, layer) =>
    ['ids', 'probs'].map((part) => `layer_${layer}_lens_${part}`),
  ).flat();
}

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: each lens equals PyTorch, whole and from the cache, and so does the logit lens again`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = readFixtures(model).prompt('sentence');
    const { ids } = prompt;
    const { manifest, lens } = opened(await engine.open({ url: bundles.url(model), provider }));
    expect(lens).toBe('logit');
    const names = lensNames(manifest.model.shape.layers);
    opened(await engine.setActivations(names));
    const packs = (manifest.lens_packs ?? []).map(({ path }) => path);
    const fetched = () =>
      packs.filter((path) => bundles.requests.some((each) => each.endsWith(path)));
    for (const [at, kind] of kinds.entries()) {
      if (model === 'tiny-llama') expect(fetched()).toHaveLength(at);
      expect(opened(await engine.setLens(kind)).lens).toBe(kind);
      const right = readThrough(prompt, kind);
      const whole = await engine.run({ ids, reuseCache: false });
      expect([...whole.tensors.keys()].sort()).toEqual([...names].sort());
      expectParity(whole, right, ids.length, tolerance);
      await engine.run({ ids: ids.slice(0, 6), reuseCache: true });
      const rest = await engine.run({ ids, reuseCache: true });
      expect(rest.start).toBe(6);
      expectParity(rest, right, ids.length, tolerance);
    }
    expect(fetched()).toHaveLength(kinds.length);
    expect(opened(await engine.setLens('logit')).lens).toBe('logit');
    expectParity(await engine.run({ ids, reuseCache: false }), prompt, ids.length, tolerance);
  });
}

test('a lens reads edited streams, and other activations open with it', async ({
  engine,
  bundles,
  provider,
  tolerance,
}) => {
  const prompt = readFixtures('tiny-gpt2').prompt('sentence');
  const { ids } = prompt;
  opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider }));
  opened(await engine.setLens('tuned'));
  const names = ['layer_0_lens_ids', 'layer_0_lens_probs', 'layer_1_resid_post'];
  const changed = opened(await engine.setActivations(names));
  expect(changed.lens).toBe('tuned');
  const untouched = await engine.run({ ids, reuseCache: false });
  expectParity(untouched, readThrough(prompt, 'tuned'), ids.length, tolerance);
  const edited = await engine.run({
    ids,
    reuseCache: false,
    keepCache: false,
    interventions: [{ edit: 'scale', joint: 'mlp_output', layer: 0 }],
  });
  const [before, after] = [untouched, edited].map(
    ({ tensors }) => tensors.get('layer_0_lens_probs')?.data,
  );
  expect([...(after ?? [])]).not.toEqual([...(before ?? [])]);
});

test('a damaged pack and an unknown lens are refused in one line and change nothing', async ({
  engine,
  bundles,
  provider,
  tolerance,
}) => {
  const prompt = readFixtures('tiny-gpt2').prompt('sentence');
  const { ids } = prompt;
  const manifest = opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider })).manifest;
  const pack = manifest.lens_packs?.find(({ name }) => name === 'jacobian')?.path ?? '';
  const url = bundles.url('tiny-gpt2', pack, 'corrupted');
  const names = lensNames(2);
  opened(await engine.open({ url, provider, activations: names }));
  // Cached files would be read undamaged from the browser's store.
  expect(await engine.setLens('jacobian')).toMatchObject({
    error: { kind: 'integrity', path: pack },
  });
  expect(await engine.setLens('prism')).toMatchObject({
    error: { kind: 'unknown-lens', got: 'prism', known: ['logit', 'tuned', 'jacobian'] },
  });
  const answer = await engine.run({ ids, reuseCache: false });
  expectParity(answer, prompt, ids.length, tolerance);
});
