// Runs that feed a text in pieces, joined, equal one run that feeds it whole.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergeRun, type ActivationSet } from '../../apps/web/src/activations/activation_set';
import type { RunResult, Tensor } from '../../apps/web/src/inference/model_types';

const HEADS = 3;
const WIDTH = 4;

/** What a made-up model gives: every number says where it belongs. */
function run(ids: readonly number[], start: number): RunResult {
  const fed = ids.length - start;
  const attention = new Float32Array(HEADS * fed * ids.length);
  const residual = new Float32Array(fed * WIDTH);
  const lens = new Int32Array(fed * 2);
  for (let row = 0; row < fed; row++) {
    const position = start + row;
    for (let head = 0; head < HEADS; head++)
      for (let key = 0; key <= position; key++)
        attention[(head * fed + row) * ids.length + key] =
          head * 1e4 + position * 100 + key + (ids[key] ?? 0) / 10;
    for (let i = 0; i < WIDTH; i++) residual[row * WIDTH + i] = position * 10 + i;
    lens.set([ids[position] ?? 0, position], row * 2);
  }
  const tensors: Tensor[] = [
    { name: 'layer_0_attn_probs', dims: [1, HEADS, fed, ids.length], data: attention },
    { name: 'layer_0_resid_post', dims: [1, fed, WIDTH], data: residual },
    { name: 'layer_0_lens_ids', dims: [1, fed, 2], data: lens },
  ];
  return { ids, start, tensors, lastLogits: Float32Array.of(ids.length), timings: { runMs: 0 } };
}

function everything(set: ActivationSet | null): unknown {
  return set?.names.map((name) => {
    const series = set.get(name);
    if (series === null) return null;
    return Array.from({ length: series.length }, (_, position) =>
      Array.from({ length: series.heads }, (_, head) => {
        const row = Array.from(series.row(position, head));
        // A row made when fewer tokens were known is shorter; what is missing is 0.
        return series.heads > 1 ? row.slice(0, position + 1) : row;
      }),
    );
  });
}

test('pieces joined equal the whole', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 14 }),
      fc.array(fc.integer({ min: 1, max: 13 }), { maxLength: 6 }),
      (ids, cuts) => {
        let set: ActivationSet | null = null;
        let start = 0;
        for (const end of [
          ...new Set([...cuts.filter((cut) => cut < ids.length), ids.length]),
        ].sort((a, b) => a - b)) {
          set = mergeRun(set, run(ids.slice(0, end), start));
          start = end;
        }
        expect(everything(set)).toEqual(everything(mergeRun(null, run(ids, 0))));
        expect(set?.lastLogits[0]).toBe(ids.length);
      },
    ),
  );
});

test('an edit in the middle keeps what stands before it and drops the rest', () => {
  const before = mergeRun(null, run([1, 2, 3, 4, 5], 0));
  const after = mergeRun(before, run([1, 2, 9], 2));
  expect(everything(after)).toEqual(everything(mergeRun(null, run([1, 2, 9], 0))));
  expect(after?.get('layer_0_resid_post')?.length).toBe(3);
});

test('rows that do not join on are refused', () => {
  const held = mergeRun(null, run([1, 2, 3], 0));
  expect(mergeRun(held, run([1, 2, 3, 4, 5], 4))).toBeNull();
  expect(mergeRun(held, run([1, 7, 3, 4], 3))).toBeNull();
  expect(mergeRun(null, run([1, 2], 1))).toBeNull();
  // A tap that was not open for the rows before.
  const more = run([1, 2, 3, 4], 3);
  const extra: Tensor = { name: 'final_norm', dims: [1, 1, 1], data: Float32Array.of(1) };
  expect(mergeRun(held, { ...more, tensors: [...more.tensors, extra] })).toBeNull();
});

test('heads stay apart, and reading outside gives nothing', () => {
  const series = mergeRun(null, run([5, 6], 0))?.get('layer_0_attn_probs');
  expect(series?.heads).toBe(HEADS);
  expect(series?.row(1, 2)[0]).toBeCloseTo(20100.5, 2);
  expect(series?.row(2, 0)).toHaveLength(0);
});
