// Patching sweeps of the page's engine, beside one run for each place by hooks in PyTorch (tests/fixtures/patched_runs.py).
import { restored, type SweepRequest } from '../../apps/web/src/analysis/patching';
import type { Metric } from '../../apps/web/src/analysis/metrics';
import { expect, opened, test } from './engine';
import { largestError, positions, readFixtures, readSweeps, reference } from './fixtures';

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: every sweep gives PyTorch's metric at each place`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    // Ten sweeps by two metrics.
    test.slow();
    const { texts, metric, unpatched, sweeps } = readSweeps(model);
    const { answer, other, position } = metric;
    const metrics: Metric[] = [
      { metric: 'logit-difference', answer, other },
      { metric: 'divergence', reference: Float32Array.from(texts.reference), position },
    ];
    opened(await engine.open({ url: bundles.url(model), provider, activations: [] }));
    for (const { places, cells } of sweeps) {
      for (const [which, metric] of metrics.entries()) {
        const { clean, corrupted } = texts;
        const got = await engine.sweep({ clean, corrupted, metric, places });
        const what = `${JSON.stringify(places)} ${metric.metric}`;
        const want = cells.map((cell) => cell[which] ?? NaN);
        expect(got.dims[0] * got.dims[1], what).toBe(want.length);
        expect(largestError(Object.values(got.values), want), what).toBeLessThanOrEqual(tolerance);
        const ends = [unpatched.clean[which] ?? NaN, unpatched.corrupted[which] ?? NaN];
        expect(largestError([got.clean, got.corrupted], ends)).toBeLessThanOrEqual(tolerance);
        const moved = want.filter((value) => Math.abs(value - (ends[1] ?? NaN)) > 1e-3);
        expect(moved.length, `${what} must matter`).toBeGreaterThan(want.length / 4);
      }
    }
    // Runs after sweeps give no more than was asked for.
    const prompt = readFixtures(model).prompt('sentence');
    const run = await engine.run({ ids: prompt.ids, reuseCache: true });
    expect([...run.tensors.keys()]).toEqual([]);
    const logits = reference(prompt, 'logits');
    const right = positions('logits', logits, prompt.ids.length - 1, prompt.ids.length);
    expect(largestError(run.lastLogits, right.data)).toBeLessThanOrEqual(tolerance);
  });
}

test('a sweep goes in batches within its bound, tells how far it is, and ends when it is told to', async ({
  engine,
  bundles,
  provider,
  tolerance,
}) => {
  const { texts, metric, sweeps } = readSweeps('tiny-llama');
  const request: SweepRequest = {
    clean: texts.clean,
    corrupted: texts.corrupted,
    metric: { metric: 'logit-difference', answer: metric.answer, other: metric.other },
    places: { over: 'positions' },
    // Room for four texts of seven tokens: batches end inside a layer.
    mostBytes: 4 * (4 * 7 * (3 * 6 * 7 + 3 * 80 + 8 * 48) + 4 * 61) + 100,
  };
  opened(await engine.open({ url: bundles.url('tiny-llama'), provider }));
  const whole = await engine.sweep(request);
  expect(whole.dims).toEqual([3, 7]);
  expect(whole.told).toEqual([4, 8, 12, 16, 20, 21].map((done) => [done, 21]));
  const want = (sweeps[0]?.cells ?? []).map(([difference]) => difference);
  const values = Float32Array.from(Object.values(whole.values));
  expect(largestError(values, want)).toBeLessThanOrEqual(tolerance);
  // The first layer's stream at all positions is all of the text; here at one.
  const shares = restored({ ...whole, values });
  expect(shares[0]).toBeCloseTo(
    ((want[0] ?? NaN) - whole.corrupted) / (whole.clean - whole.corrupted),
    2,
  );
  const ended = await engine.trySweep(request, 8);
  expect(ended).toMatchObject({ error: { kind: 'aborted' } });
  // It may be heard a batch late, never at the end.
  expect(ended.told.length).toBeLessThan(6);
  const prompt = readFixtures('tiny-llama').prompt('sentence');
  const { lastLogits } = await engine.run({ ids: prompt.ids, reuseCache: true });
  const logits = reference(prompt, 'logits');
  const right = positions('logits', logits, prompt.ids.length - 1, prompt.ids.length);
  expect(largestError(lastLogits, right.data)).toBeLessThanOrEqual(tolerance);
  expect((await engine.sweep(request)).told.at(-1)).toEqual([21, 21]);
});
