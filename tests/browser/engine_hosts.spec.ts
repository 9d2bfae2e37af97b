// The engine starts and computes as PyTorch does in every project: with and without isolation and threads, from the
// development server and from a build below a path, and on WebGPU. All else that it computes: engine_parity.spec.ts.
import { expect, opened, test } from './engine';
import { expectParity } from './expect_parity';
import { readFixtures } from './fixtures';

test('the bundled model gives its exported activations as PyTorch does', async ({
  engine,
  provider,
  tolerance,
  isolated,
}) => {
  const fixtures = readFixtures('demo');
  const model = opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
  expect(model.facts.provider).toBe(provider);
  expect(model.facts.reason).toBe('requested');
  expect(model.facts.crossOriginIsolated).toBe(isolated);
  if (provider === 'wasm' && !isolated) expect(model.facts.threads).toBe(1);
  for (const name of ['single', 'sentence', 'unicode', 'long']) {
    const prompt = fixtures.prompt(name);
    const answer = await engine.run({ ids: prompt.ids, reuseCache: false });
    expect(answer.start).toBe(0);
    expect([...answer.tensors.keys()]).toContain('layer_5_attn_probs');
    expectParity(answer, prompt, prompt.ids.length, tolerance);
  }
});
