// Every kind of edit in every variant, on each provider that runs it: the error relative to PyTorch's edited float32
// model is within the variant's error in the manifest, and the edit's effect equals its effect in PyTorch.
import type { Edit, KnockOutEdit } from '../../apps/web/src/inference/edits';
import { expect, opened, test } from './engine';
import { editKinds, editsOf } from './engine_edits';
import { readFixtures, reference } from './fixtures';
import {
  all,
  models,
  providerError,
  refusedOnGpu,
  relativeError,
  spread,
  statedError,
} from './variant_bounds';

/**
 * Wider limit for variants with fixed ranges, which clip values that an edit makes larger than any in the calibration
 * text.
 */
const ownSpread: Record<string, number> = { int8_static: 5 * spread };

/** Allowed relative error of an edit's effect, if larger than the variant's own error. */
const ofChange = 0.6;

function minus(a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  return Array.from(a, (value, at) => value - (b[at] ?? NaN));
}

function isKnockOut(edit: Edit): edit is KnockOutEdit {
  return edit.edit === 'knock-out';
}

for (const name of all) {
  test(`${name}: every kind of edit has the effect that it has in PyTorch`, async ({
    engine,
    bundles,
    provider,
  }) => {
    const { bundle, fixtures } = models[provider];
    const request = { url: bundles.url(bundle), provider, variant: name, activations: [] };
    const outcome = await engine.open(request);
    const refusal = provider === 'webgpu' ? refusedOnGpu[name] : undefined;
    if (refusal !== undefined) {
      expect(outcome).toMatchObject({ error: { kind: 'variant-refused' } });
      return;
    }
    const { manifest, variant } = opened(outcome);
    const { layers } = manifest.model.shape;
    const maps = 'layer_0_attn_probs';
    const streams = ['layer_0_resid_post', `layer_${layers - 1}_resid_post`];
    opened(await engine.setActivations([...streams, maps]));
    const prompt = readFixtures(fixtures).prompt('sentence');
    const run = { ids: prompt.ids, reuseCache: false, keepCache: false };
    const own = await engine.run(run);
    const seen = new Set<string>();

    for (const { name: what, edits, firstResidPost, residPost } of prompt.saidEdits) {
      const interventions = editsOf(edits);
      for (const { edit } of interventions) seen.add(edit);
      const { tensors } = await engine.run({ ...run, interventions });
      let told = 0;
      for (const [at, right] of [firstResidPost.data, residPost.data].entries()) {
        const stream = streams[at] ?? '';
        const got = tensors.get(stream)?.data ?? [];
        const stated = statedError(variant.fidelity, stream) + providerError[provider];
        const bound = (ownSpread[name] ?? spread) * stated;
        expect(relativeError(got, right), `${what}, ${stream}`).toBeLessThanOrEqual(bound);
        const [ours, theirs] = [
          own.tensors.get(stream)?.data ?? [],
          reference(prompt, stream).data,
        ];
        const change = minus(right, theirs);
        const error = relativeError(minus(got, ours), change);
        if (error <= ofChange) told++;
        // An effect smaller than the variant's rounding may disappear in it, in one of the two streams.
        if (relativeError(right, theirs) >= 2 * relativeError(ours, theirs))
          expect(error, `what ${what} changes at ${stream}`).toBeLessThanOrEqual(ofChange);
      }
      // With few keys, compare the attention probabilities instead.
      const knockOuts = interventions.filter(isKnockOut);
      expect(told + knockOuts.length, `${what} can be told from none`).toBeGreaterThan(0);
      const { dims = [], data = [] } = tensors.get(maps) ?? {};
      for (const { head, query, key } of knockOuts.filter(({ layer }) => layer === 0)) {
        expect([head, query, key]).toEqual([1, { start: 5 }, [0, 2]]);
        const [, , tokens = 0] = dims;
        for (let at = 5; at < tokens; at++) {
          const row = Array.from(data).slice((tokens + at) * tokens, (tokens + at + 1) * tokens);
          expect([row[0], row[2]]).toEqual([0, 0]);
          expect(row.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 2);
        }
      }
    }
    expect([...seen].sort()).toEqual(editKinds);
  });
}
