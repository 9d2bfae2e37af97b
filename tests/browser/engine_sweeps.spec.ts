// Patching sweeps of the page's engine, compared with one PyTorch run for each place, made with hooks
// (tests/fixtures/patched_runs.py).
import { restored, type SweepRequest } from '../../apps/web/src/analysis/patching';
import type { Metric } from '../../apps/web/src/analysis/metrics';
import type { Edit } from '../../apps/web/src/inference/edits';
import type { BatchRequest } from '../../apps/web/src/inference/model_types';
import { expect, opened, test } from './engine';
import { largestError, positions, readFixtures, readSweeps, reference } from './fixtures';

/** Tag of tests that don't depend on the provider. */
const anyDevice = '@any-device';

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: every sweep gives PyTorch's metric at each place`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    // Ten sweeps with two metrics.
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
    // Runs after sweeps return only the requested activations.
    const prompt = readFixtures(model).prompt('sentence');
    const run = await engine.run({ ids: prompt.ids, reuseCache: true });
    expect([...run.tensors.keys()]).toEqual([]);
    const logits = reference(prompt, 'logits');
    const right = positions('logits', logits, prompt.ids.length - 1, prompt.ids.length);
    expect(largestError(run.lastLogits, right.data)).toBeLessThanOrEqual(tolerance);
  });
}

test(
  'a sweep goes in batches within its bound, tells how far it is, and ends when it is told to',
  { tag: anyDevice },
  async ({ engine, bundles, provider, tolerance }) => {
    const { texts, metric, sweeps } = readSweeps('tiny-llama');
    const request: SweepRequest = {
      clean: texts.clean,
      corrupted: texts.corrupted,
      metric: { metric: 'logit-difference', answer: metric.answer, other: metric.other },
      places: { over: 'positions' },
      // The limit allows four texts of seven tokens, so batches end inside a layer.
      mostBytes: 4 * (4 * 7 * (3 * 6 * 7 + 3 * 80 + 8 * 48) + 4 * 61) + 100,
    };
    opened(await engine.open({ url: bundles.url('tiny-llama'), provider }));
    const whole = await engine.sweep(request);
    expect(whole.dims).toEqual([3, 7]);
    expect(whole.told).toEqual([4, 8, 12, 16, 20, 21].map((done) => [done, 21]));
    const want = (sweeps[0]?.cells ?? []).map(([difference]) => difference);
    const values = Float32Array.from(Object.values(whole.values));
    expect(largestError(values, want)).toBeLessThanOrEqual(tolerance);
    // Patching the first layer's stream at all positions replaces the whole text; this sweep patches one position.
    const shares = restored({ ...whole, values });
    expect(shares[0]).toBeCloseTo(
      ((want[0] ?? NaN) - whole.corrupted) / (whole.clean - whole.corrupted),
      2,
    );
    const ended = await engine.trySweep(request, 8);
    expect(ended).toMatchObject({ error: { kind: 'aborted' } });
    // The abort may take effect one batch late, but not only at the end.
    expect(ended.told.length).toBeLessThan(6);
    const prompt = readFixtures('tiny-llama').prompt('sentence');
    const { lastLogits } = await engine.run({ ids: prompt.ids, reuseCache: true });
    const logits = reference(prompt, 'logits');
    const right = positions('logits', logits, prompt.ids.length - 1, prompt.ids.length);
    expect(largestError(lastLogits, right.data)).toBeLessThanOrEqual(tolerance);
    expect((await engine.sweep(request)).told.at(-1)).toEqual([21, 21]);
  },
);

test(
  'what can not be swept or run together is told in a line, and nothing is changed',
  { tag: anyDevice },
  async ({ engine, page, bundles, provider, tolerance }) => {
    const prompt = readFixtures('tiny-llama').prompt('sentence');
    const { ids } = prompt;
    opened(await engine.open({ url: bundles.url('tiny-llama'), provider, activations: [] }));
    await engine.run({ ids: ids.slice(0, 8), reuseCache: true });
    const graphBytes = () => page.evaluate(async () => (await client.savedGraph()).length);
    const before = await graphBytes();
    const fine: SweepRequest = {
      clean: ids.slice(0, 5),
      corrupted: ids.slice(5, 10),
      metric: { metric: 'logit-difference', answer: 1, other: 2 },
      places: { over: 'positions' },
    };
    const receiver = { layer: 2, head: 2, reads: 'v' } as const;
    const sweeps: [Partial<SweepRequest>, string][] = [
      [{ mostBytes: 1000 }, 'would not fit in memory; got 14524 bytes'],
      [{ clean: ids.slice(0, 4) }, 'got 4 and 5 tokens'],
      [{ metric: { ...fine.metric, position: -6 } }, 'got -6; expected -1'],
      [{ places: { over: 'positions', joint: 'mlp_pre' } }, 'got mlp_pre; expected a joint'],
      [{ places: { over: 'paths', receiver } }, 'no such head to receive v; got head 2'],
      [{ corrupted: [...ids.slice(0, 4), 61] }, '61 is not in 0'],
    ];
    for (const [change, message] of sweeps) {
      const outcome = await engine.trySweep({ ...fine, ...change });
      expect(outcome, message).toHaveProperty('error');
      expect(JSON.stringify(outcome)).toContain(message);
      expect(outcome.told).toEqual([]);
    }
    const texts = [ids.slice(0, 4), ids.slice(0, 6)];
    const off: Edit = { edit: 'scale', joint: 'attn_z', layer: 0 };
    const batches: [Partial<BatchRequest>, string][] = [
      [{ interventions: [{ ...off, row: 2 }] }, 'the batch has no such row; got row 2'],
      [{ interventions: [{ ...off, position: 4 }] }, 'no such position; got position 4'],
      [{ interventions: [{ edit: 'knock-out', layer: 1, query: 0, row: 1 }] }, 'query 0 of row 1'],
      [{ interventions: [{ ...off, factor: NaN }] }, 'no finite number; got NaN'],
      [{ texts: [] }, 'no texts'],
      [{ texts: [[1, 2], []] }, 'no tokens'],
      [{ texts: [[1], Array<number>(65).fill(1)] }, '"tokens":65,"limit":64'],
      [{ logits: 5 }, 'got 5; expected 1 to 4'],
    ];
    for (const [change, message] of batches) {
      const outcome = await engine.tryBatch({ texts, ...change });
      expect(outcome, message).toHaveProperty('error');
      expect(JSON.stringify(outcome)).toContain(message);
    }
    expect(await graphBytes(), 'the session was left as it was').toBe(before);
    const { start, lastLogits } = await engine.run({ ids, reuseCache: true });
    expect(start).toBe(8);
    const logits = reference(prompt, 'logits');
    const right = positions('logits', logits, ids.length - 1, ids.length);
    expect(largestError(lastLogits, right.data)).toBeLessThanOrEqual(tolerance);
  },
);

test(
  'a graph without joints says that it has none, and one of contract 1.x that it takes one text',
  { tag: anyDevice },
  async ({ engine, bundles, provider }) => {
    const [clean, corrupted] = [
      [1, 2, 3],
      [4, 5, 6],
    ] as const;
    const request: SweepRequest = {
      clean,
      corrupted,
      metric: { metric: 'logit-difference', answer: 1, other: 2 },
      places: { over: 'heads' },
    };
    opened(await engine.open({ url: bundles.url('earlier-tiny-gpt2'), provider }));
    expect(JSON.stringify(await engine.trySweep(request))).toContain('got its interactive graph');
    const batch = await engine.tryBatch({ texts: [clean, corrupted] });
    expect(JSON.stringify(batch)).toContain('takes one text at a time; got 2');
  },
);
