// Runs that are requested at once, with a model that the test stands in for: which batches they are made in.
import { expect, test } from 'vitest';
import { SweepError } from '../../apps/web/src/analysis/patching';
import type { ModelShape } from '../../apps/web/src/contract/generated';
import type { Edit } from '../../apps/web/src/inference/edits';
import type { BatchRequest, BatchResult } from '../../apps/web/src/inference/model_types';
import { runsTogether } from '../../apps/web/src/inference/runs_together';

// Only what the bound reads: a text of one token takes 4 × (3 × 2 + 3 × 8 + 8 × 4) + 4 × 10 = 288 bytes.
const shape = {
  ...{ layers: 1, heads: 2, kv_heads: 2, head_dim: 2, hidden: 4, intermediate: 8, vocab: 10 },
} as unknown as ModelShape;

const off = (head: number): Edit => ({ edit: 'scale', joint: 'attn_z', layer: 0, head, factor: 0 });

/** Gives each text's first token, and notes what it was asked. */
class Model {
  readonly asked: BatchRequest[] = [];
  failing = false;

  readonly runBatch = (request: BatchRequest): Promise<BatchResult> => {
    this.asked.push(request);
    if (this.failing) return Promise.reject(new Error('lost'));
    const texts = request.texts.map((ids) => ({
      ids,
      logits: { name: 'logits', dims: [1, 1], data: new Float32Array(1) },
      tensors: [{ name: 'layer_0_q', dims: [1], data: Float32Array.of(ids[0] ?? NaN) }],
    }));
    return Promise.resolve({ texts, timings: { runMs: 0 } });
  };
}

test('runs requested at once are rows of batches within the bound, each with its own edits', async () => {
  const model = new Model();
  const run = runsTogether({
    runBatch: model.runBatch,
    shape,
    names: ['layer_0_q'],
    mostBytes: 2 * 288,
  });
  const found = await Promise.all([run([1], []), run([2], [off(0), off(1)]), run([3], [off(1)])]);
  expect(found.map((given) => given.get('layer_0_q')?.data[0])).toEqual([1, 2, 3]);
  expect(model.asked.map(({ texts }) => texts)).toEqual([[[1], [2]], [[3]]]);
  expect(model.asked[0]).toMatchObject({
    interventions: [
      { head: 0, row: 1 },
      { head: 1, row: 1 },
    ],
    activations: ['layer_0_q'],
  });
  expect(model.asked[1]?.interventions).toMatchObject([{ head: 1, row: 0 }]);
  await run([4], []);
  expect(model.asked).toHaveLength(3);
});

test('a text that exceeds the bound, and a batch that fails, reject their runs alone', async () => {
  const model = new Model();
  const small = runsTogether({ runBatch: model.runBatch, shape, names: [], mostBytes: 287 });
  await expect(small([1], [])).rejects.toBeInstanceOf(SweepError);
  expect(model.asked).toEqual([]);
  const run = runsTogether({ runBatch: model.runBatch, shape, names: [] });
  model.failing = true;
  const failed = await Promise.allSettled([run([1], []), run([2], [])]);
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  model.failing = false;
  expect((await run([3], [])).size).toBe(1);
});
