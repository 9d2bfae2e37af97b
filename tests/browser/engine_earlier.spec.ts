// Bundles of contract 1.x, which no exporter writes any more: they open, and compute what PyTorch does.
import { modelActivationNames } from '../../apps/web/src/contract/activation_table';
import { switchingOff, type Interventions } from '../../apps/web/src/inference/interventions';
import { expect, opened, test } from './engine';
import { expectParity } from './expect_parity';
import { largestError, readFixtures, reference } from './fixtures';

for (const model of ['earlier-tiny-gpt2', 'earlier-tiny-llama']) {
  test(`${model}: every activation, its cache, heads off and deltas`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const { headsOff, ...fixtures } = readFixtures(model);
    const prompt = fixtures.prompt('sentence');
    const { ids } = prompt;
    const { manifest, variant } = opened(
      await engine.open({ url: bundles.url(model), variant: 'fp32', provider }),
    );
    expect(manifest.contract_version).toMatch(/^1\./);
    expect(variant.interactive).toBeDefined();
    const all = modelActivationNames(manifest.model.shape);
    expect(new Set(opened(await engine.setActivations(all)).activations)).toEqual(new Set(all));
    for (const end of [5, 6, ids.length]) {
      const answer = await engine.run({ ids: ids.slice(0, end), reuseCache: true });
      expect(answer.start).toBe(end === 5 ? 0 : end === 6 ? 5 : 6);
      expectParity(answer, prompt, end, tolerance);
    }
    const delta = (name: string): Float32Array => Float32Array.from(reference(prompt, name).data);
    const changed: Interventions = [
      {
        edit: 'add',
        joint: 'resid_post',
        layer: 0,
        vector: delta('delta_every_token'),
      },
      {
        edit: 'add',
        joint: 'resid_post',
        layer: 1,
        position: Math.floor(ids.length / 2),
        vector: delta('delta_one_token'),
      },
      { edit: 'scale', joint: 'attn_z', layer: 1, head: 1, factor: 0.5 },
    ];
    for (const [name, interventions] of [
      ['logits_heads_off', switchingOff(headsOff)],
      ['logits_changed', changed],
    ] as const) {
      await engine.run({ ids: ids.slice(0, 9), reuseCache: true, interventions });
      const answer = await engine.run({ ids, reuseCache: true, interventions });
      expect(answer.start, name).toBe(9);
      const expected = reference(prompt, name).data;
      expect(largestError(answer.lastLogits, expected), name).toBeLessThanOrEqual(tolerance);
      const untouched = reference(prompt, 'logits').data.slice(-expected.length);
      expect(largestError(expected, untouched), `${name} must matter`).toBeGreaterThan(tolerance);
    }
    const unheard = await engine.tryRun({
      ids,
      reuseCache: true,
      interventions: [
        {
          kind: 'closing',
          joint: 'attn_probs',
          layer: 0,
          closing: 'scale',
          positions: null,
          tensors: { scale: { dims: [1, 1, 1, 1], data: Float32Array.of(0.5) } },
        },
      ],
    });
    expect(unheard).toMatchObject({ error: { kind: 'run' } });
    expect(JSON.stringify(unheard)).toContain('contract 1.x');
  });
}

test('encoded weights of an earlier bundle expand as they did', async ({
  engine,
  bundles,
  provider,
}) => {
  const url = bundles.url('earlier-tiny-gpt2');
  const { ids } = readFixtures('earlier-tiny-gpt2').prompt('sentence');
  const { manifest } = opened(await engine.open({ url, variant: 'fp32', provider }));
  const exact = await engine.run({ ids, reuseCache: false });
  for (const { name, kernels } of manifest.variants) {
    if (name === 'fp32' || (kernels === 'int8' && provider === 'webgpu')) continue;
    opened(await engine.open({ url, variant: name, provider }));
    const first = await engine.run({ ids: ids.slice(0, 7), reuseCache: true });
    expect(first.start).toBe(0);
    const { start, lastLogits } = await engine.run({ ids, reuseCache: true });
    expect(start).toBe(7);
    // Near the exact ones, and not the same: rounded weights are in use.
    const error = largestError(lastLogits, exact.lastLogits);
    expect(error, name).toBeLessThan(0.3);
    expect(error, name).toBeGreaterThan(1e-6);
  }
});
