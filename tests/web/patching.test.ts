// Plans of patching sweeps, their metrics, and the errors before anything runs. tests/browser/engine_sweeps.spec.ts
// compares the numbers with PyTorch.
import { describe, expect, test } from 'vitest';
import { measured, MetricError, type Metric } from '../../apps/web/src/analysis/metrics';
import {
  batchesOf,
  planSweep,
  restored,
  rowsWithin,
  SweepError,
  type SweepRequest,
} from '../../apps/web/src/analysis/patching';
import type { ModelShape } from '../../apps/web/src/contract/generated';
import { jointEdits } from '../../apps/web/src/inference/joint_edits';
import type { Tensor } from '../../apps/web/src/inference/model_types';
import { sweep, type EngineBatch } from '../../apps/web/src/inference/patching_sweep';

const shape: ModelShape = {
  layers: 3,
  hidden: 4,
  heads: 2,
  kv_heads: 1,
  head_dim: 2,
  intermediate: 6,
  vocab: 5,
  context_length: 12,
  parallel_residual: false,
};
const difference: Metric = { metric: 'logit-difference', answer: 1, other: 2 };
const request: SweepRequest = {
  clean: [1, 2, 3],
  corrupted: [4, 2, 3],
  metric: difference,
  places: { over: 'positions' },
};

describe('a plan', () => {
  test('iterates over layers and positions in row-major order', () => {
    const { dims, cells } = planSweep(request, shape);
    expect(dims).toEqual([3, 3]);
    expect(cells.slice(0, 4)).toEqual([
      { layer: 0, position: 0 },
      { layer: 0, position: 1 },
      { layer: 0, position: 2 },
      { layer: 1, position: 0 },
    ]);
  });

  test('of paths iterates over the heads before the receiver', () => {
    const receiver = { layer: 2, head: 0, reads: 'k' } as const;
    const { dims, cells } = planSweep({ ...request, places: { over: 'paths', receiver } }, shape);
    expect(dims).toEqual([2, 2]);
    expect(cells.at(-1)).toEqual({ layer: 1, head: 1 });
  });

  test('limits batches to the memory limit', () => {
    // Three tokens: three tensors of scores, 2 heads × 3 keys; three of the MLP, eight of the stream; and the logits.
    const each = 4 * 3 * (18 + 18 + 32) + 4 * 5;
    expect(rowsWithin(shape, 3, each * 4 + 1)).toBe(4);
    const plan = planSweep({ ...request, mostBytes: each * 4 }, shape);
    expect(batchesOf(plan).map(({ length }) => length)).toEqual([4, 4, 1]);
    expect(batchesOf(plan).flat()).toEqual(plan.cells);
    expect(() => planSweep({ ...request, mostBytes: each - 1 }, shape)).toThrow(
      `the sweep would not fit in memory; got ${each} bytes for a text of 3 tokens; expected at most ${each - 1}`,
    );
  });
});

test('what a sweep keeps of both texts must fit, however small a batch is', () => {
  const long = Array.from({ length: 1000 }, () => 1);
  const deep: ModelShape = { ...shape, layers: 64, context_length: 1000 };
  const { metric } = request;
  const places = { over: 'heads', joint: 'attn_probs' } as const;
  // 2 texts, 64 layers, 2 heads, 1000 by 1000 tokens, 4 bytes.
  expect(() => planSweep({ clean: long, corrupted: long, metric, places }, deep)).toThrow(
    "the sweep would not fit in memory; got 1024000000 bytes of both texts' activations",
  );
  const mostBytes = 1024000000;
  const plan = planSweep({ clean: long, corrupted: long, metric, places, mostBytes }, deep);
  expect(plan.dims).toEqual([64, 2]);
});

const receiver = { layer: 1, head: 0, reads: 'q' } as const;
const refused: [string, Partial<SweepRequest>, string][] = [
  ['texts of two lengths', { clean: [1, 2] }, 'got 2 and 3 tokens'],
  ['no text', { clean: [], corrupted: [] }, 'got 0 and 0 tokens'],
  ['a map by position', { places: { over: 'positions', joint: 'attn_probs' } }, 'got attn_probs'],
  ['a head of the stream', { places: { over: 'heads', joint: 'resid_pre' } }, 'got resid_pre'],
  ['no joint', { places: { over: 'positions', joint: 'final_norm' } }, 'got final_norm'],
  [
    'a receiver in the first layer',
    { places: { over: 'paths', receiver: { ...receiver, layer: 0 } } },
    'got layer 0; expected 1 to 2',
  ],
  [
    'a key head that is not there',
    { places: { over: 'paths', receiver: { ...receiver, head: 1, reads: 'k' } } },
    'got head 1; expected 0 to 0',
  ],
  ['a token that is not there', { metric: { ...difference, other: 5 } }, 'got id 5'],
  ['a position from the start', { metric: { ...difference, position: 0 } }, 'got 0; expected -1'],
  ['a position before the text', { metric: { ...difference, position: -4 } }, 'got -4'],
  [
    "another vocabulary's reference",
    { metric: { metric: 'divergence', reference: new Float32Array(4) } },
    'got 4 logits; expected 5',
  ],
  [
    'a reference that is no number',
    { metric: { metric: 'divergence', reference: Float32Array.of(1, 2, NaN, 4, 5) } },
    'got NaN at index 2',
  ],
];

test.each(refused)('%s is refused in one line before anything runs', async (_, change, message) => {
  let ran = 0;
  const run = (): Promise<never> => {
    ran++;
    return Promise.reject(new Error('nothing was to run'));
  };
  const made = sweep({ ...request, ...change }, shape, run, () => undefined, aborting().signal);
  const error: unknown = await made.catch((thrown: unknown) => thrown);
  expect(error instanceof SweepError || error instanceof MetricError).toBe(true);
  expect((error as Error).message).toContain(message);
  expect((error as Error).message).not.toContain('\n');
  expect(ran).toBe(0);
});

describe('metrics computed by hand', () => {
  test('a logit difference', () => {
    expect(measured(difference, Float32Array.of(0, 3, 1.5, 0, 0))).toBe(1.5);
  });

  test('the divergence of (1/2, 1/2) and (3/4, 1/4)', () => {
    const metric: Metric = {
      metric: 'divergence',
      reference: Float32Array.of(Math.log(3) + 700, 700),
    };
    const want = 0.75 * Math.log(0.75 / 0.5) + 0.25 * Math.log(0.25 / 0.5);
    expect(measured(metric, Float32Array.of(-80, -80))).toBeCloseTo(want, 5);
    expect(measured(metric, metric.reference)).toBeCloseTo(0, 9);
  });

  test('restored returns the fraction of the difference', () => {
    const swept = { dims: [1, 3], clean: 3, corrupted: 1 } as const;
    expect([...restored({ ...swept, values: Float32Array.of(1, 2, 3) })]).toEqual([0, 0.5, 1]);
    expect(() => restored({ ...swept, clean: 1, values: new Float32Array(3) })).toThrow(
      'nothing to restore',
    );
  });
});

function aborting(): AbortController {
  return new AbortController();
}

/** Returns zeros for every batch, and records the requests. */
function recorder(): {
  asked: EngineBatch[];
  run: (batch: EngineBatch) => Promise<Map<string, Tensor>>;
} {
  const asked: EngineBatch[] = [];
  const run = (batch: EngineBatch): Promise<Map<string, Tensor>> => {
    asked.push(batch);
    const rows = batch.texts.length;
    const zeros = (name: string, dims: number[]): [string, Tensor] => {
      const count = dims.reduce((product, size) => product * size, 1);
      return [name, { name, dims, data: new Float32Array(count) }];
    };
    const given = batch.activations.map((name) =>
      /_(q|attn_z)$/.test(name) ? zeros(name, [rows, 2, 3, 2]) : zeros(name, [rows, 3, 4]),
    );
    return Promise.resolve(new Map([...given, zeros('logits', [rows, 1, 5])]));
  };
  return { asked, run };
}

test('inserted values are one shared tensor for each layer, whatever the number of places', async () => {
  const { asked, run } = recorder();
  await sweep(request, shape, run, () => undefined, aborting().signal);
  expect(asked).toHaveLength(2);
  const [first, second] = asked;
  expect(first?.closings).toEqual([{ joint: 'resid_pre', layer: 0, closing: 'replace' }]);
  const fed = { start: 0, end: 3, lengths: Array<number>(9).fill(3) };
  const placed = jointEdits(second?.edits ?? [], shape, fed);
  expect(placed.map(({ layer }) => layer)).toEqual([0, 1, 2]);
  for (const [layer, { tensors }] of placed.entries()) {
    expect(tensors['value']?.dims).toEqual([1, 3, 4]);
    expect(tensors['mask']?.dims).toEqual([9, 3, 1]);
    const patched = Array.from(tensors['mask']?.data ?? [], (is, at) => (is === 1 ? at : -1));
    // Row 3 × layer + p patches position p.
    expect(patched.filter((at) => at >= 0)).toEqual([0, 1, 2].map((p) => (3 * layer + p) * 3 + p));
  }
});

test('the first run of a path sweep requests the closings of all its runs', async () => {
  const { asked, run } = recorder();
  await sweep(
    { ...request, places: { over: 'paths', receiver } },
    shape,
    run,
    () => undefined,
    aborting().signal,
  );
  const joints = asked[0]?.closings?.map(({ joint }) => joint);
  expect(joints).toEqual(['attn_z', 'mlp_output', 'q']);
  const edited = asked.flatMap(({ edits }) => edits.map((edit) => 'joint' in edit && edit.joint));
  expect(new Set(edited)).toEqual(new Set(joints));
});

test('an aborted sweep makes no further run', async () => {
  const { asked, run } = recorder();
  const ending = aborting();
  const told: number[] = [];
  const made = sweep(
    { ...request, mostBytes: 2000 },
    shape,
    run,
    (done) => {
      told.push(done);
      if (done >= 4) ending.abort();
    },
    ending.signal,
  );
  await expect(made).rejects.toMatchObject({ data: { kind: 'aborted' } });
  expect(told).toEqual([2, 4]);
  expect(asked).toHaveLength(3);
});
