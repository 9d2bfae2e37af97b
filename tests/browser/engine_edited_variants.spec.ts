// Every kind of edit in every variant, on each provider where it opens: as far from PyTorch's edited float32 model as the
// manifest says of the variant, no farther, and what an edit changes is what it changes in PyTorch.
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

/** Values that an edit makes larger than any of the calibration text's are cut off where their range is fixed. */
const ownSpread: Record<string, number> = { int8_static: 5 * spread };

/** What an edit changes may differ by this part of it, where it is more than the variant's own error. */
const ofChange = 0.6;

function minus(a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  return Array.from(a, (value, at) => value - (b[at] ?? NaN));
}

function isKnockOut(edit: Edit): edit is KnockOutEdit {
  return edit.edit === 'knock-out';
}

for (const name of all) {
  test(`${name}: every kind of edit`, async ({ engine, bundles, provider }) => {
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
        // A change that is smaller than the variant's own rounding may be lost in it, in one of both streams.
        if (relativeError(right, theirs) >= 2 * relativeError(ours, theirs))
          expect(error, `what ${what} changes at ${stream}`).toBeLessThanOrEqual(ofChange);
      }
      // Few tokens look at few keys: their probabilities tell it instead.
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
