// Sparse features, the variance that they explain, and a reading of a dictionary, beside plain loops on a model of one
// matrix whose numbers the test computes itself.
import { expect, test } from 'vitest';
import {
  alongText,
  countAt,
  explainedVariance,
  featuresAt,
  meanCount,
  sparseOf,
  strongestAt,
} from '../../apps/web/src/analysis/sparse_features';
import type { Manifest, ModelShape, Variant } from '../../apps/web/src/contract/generated';
import { dictionaryBytes } from '../../apps/web/src/inference/dictionary_memory';
import { readFeatures } from '../../apps/web/src/inference/feature_reading';
import type { LoadedDictionary } from '../../apps/web/src/inference/load_dictionary';
import type { Tensor } from '../../apps/web/src/inference/model_types';
import type { EngineBatch, RunsBatches } from '../../apps/web/src/inference/patching_sweep';

/** Three tokens, four features. */
const dense = Float32Array.of(0, 2, 0, 5, 0, 0, 0, 0, 7, 2, 0, 2);

test('only the values above 0 are kept, and found again', () => {
  const sparse = sparseOf(dense, 3);
  expect([...sparse.starts]).toEqual([0, 2, 2, 5]);
  expect([0, 1, 2].map((at) => countAt(sparse, at))).toEqual([2, 0, 3]);
  expect(featuresAt(sparse, 0)).toEqual([
    { feature: 1, value: 2 },
    { feature: 3, value: 5 },
  ]);
  expect(strongestAt(sparse, 2, 2)).toEqual([
    { feature: 0, value: 7 },
    { feature: 1, value: 2 },
  ]);
  expect(strongestAt(sparse, 1, 2)).toEqual([]);
  for (const feature of [0, 1, 2, 3])
    expect([...alongText(sparse, feature)]).toEqual(
      [0, 1, 2].map((token) => dense[token * 4 + feature]),
    );
});

test('values that are not above 0, not even numbers, are no features', () => {
  expect(featuresAt(sparseOf(Float32Array.of(-1, NaN, 0), 1), 0)).toEqual([]);
  expect([...sparseOf(new Float32Array(), 0).starts]).toEqual([0]);
});

test('the mean number of features leaves out the first token', () => {
  expect(meanCount(sparseOf(dense, 3))).toBe((0 + 3) / 2);
  expect(meanCount(sparseOf(Float32Array.of(1, 2), 1))).toBeNaN();
});

test('explained variance is 1 for an exact copy, 0 for the mean, and below for what is worse', () => {
  // The first token is not counted, however large it is.
  const given = Float32Array.of(900, -70, 1, 2, 3, 6);
  expect(explainedVariance(given, given, 3)).toEqual({
    ...{ tokens: Float32Array.of(NaN, 1, 1), text: 1 },
  });
  const mean = Float32Array.of(5, 5, 2, 4, 2, 4);
  expect(explainedVariance(given, mean, 3)).toEqual({
    ...{ tokens: Float32Array.of(NaN, 0, 0), text: 0 },
  });
  // Errors of 1 and 9 by spreads of 1 + 4 each.
  const wrong = Float32Array.of(0, 0, 1, 3, 3, 3);
  const { tokens, text } = explainedVariance(given, wrong, 3);
  expect([...tokens].map((each) => Number(each.toFixed(6)))).toEqual([
    ...[NaN, 1 - 1 / 5, 1 - 9 / 5],
  ]);
  expect(text).toBeCloseTo(1 - 10 / 10, 12);
  // One token that is left is its own mean, and one that is not leaves none.
  const pair = Float32Array.of(1, 2, 3, 4);
  expect(explainedVariance(pair, pair, 2)).toEqual({
    ...{ tokens: Float32Array.of(NaN, NaN), text: NaN },
  });
  const one = Float32Array.of(1, 2);
  expect(explainedVariance(one, one, 1)).toEqual({ tokens: Float32Array.of(NaN), text: NaN });
});

const hidden = 2;
const unembedding = [
  [1, 2],
  [-3, 0.5],
  [0.25, -1],
] as const;
/** (neurons, hidden): the output matrix of the MLP, whose bias is 0.5. */
const matrix = [
  [1, -1],
  [0.5, 2],
  [-2, 0.25],
] as const;
const shape: ModelShape = {
  ...{ layers: 1, heads: 1, kv_heads: 1, head_dim: 2, hidden, intermediate: 3, vocab: 3 },
  ...{ context_length: 16, parallel_residual: false },
};
const stream = [3, -1] as const;

function times(vector: readonly number[], rows: readonly (readonly number[])[]): number[] {
  return rows.map((row) => row.reduce((sum, each, at) => sum + each * (vector[at] ?? 0), 0));
}
function divisor(vector: readonly number[]): number {
  return Math.sqrt(vector.reduce((sum, each) => sum + each * each, 0) / vector.length);
}
function tensor(name: string, dims: readonly number[], data: readonly number[]): [string, Tensor] {
  return [name, { name, dims, data: Float32Array.from(data) }];
}

/** What the stood-in model was asked, and what it gives for the text: 3 tokens. */
function modelWith(asked: EngineBatch[], first: ReadonlyMap<string, Tensor>): RunsBatches {
  return (batch) => {
    asked.push(batch);
    const [edit] = batch.edits;
    if (edit === undefined) return Promise.resolve(first);
    if (!('edit' in edit) || edit.edit !== 'replace' || typeof edit.value !== 'object')
      throw new Error('only values are put in');
    if (!('shape' in edit.value)) throw new Error('values without a shape');
    const { shape: dims, values } = edit.value;
    const [tokens = 0, width = 0] = dims.slice(-2);
    const rows = Array.from({ length: tokens }, (_, at) => [
      ...values.slice(at * width, (at + 1) * width),
    ]);
    if (edit.joint === 'resid_post') {
      const logits = rows.flatMap((row) =>
        times(
          row.some((each) => each !== 0) ? row.map((each) => each / divisor(row)) : row,
          unembedding,
        ),
      );
      return Promise.resolve(new Map([tensor('logits', [1, tokens, 3], logits)]));
    }
    const columns = [0, 1].map((at) => matrix.map((row) => row[at as 0 | 1]));
    const output = rows.flatMap((row) => times(row, columns).map((each) => each + 0.5));
    return Promise.resolve(new Map([tensor('layer_0_mlp_output', [1, tokens, hidden], output)]));
  };
}

/** Return a dictionary of four features whose decoder has these rows, without its taps. */
function dictionaryOf(
  kind: 'mlp_output' | 'mlp_act',
  rows: readonly (readonly number[])[],
): LoadedDictionary {
  const width = rows[0]?.length ?? 0;
  const parts: [string, number[], number[]][] = [
    ['decoder_bias', [width], Array<number>(width).fill(1)],
    ['decoder_weight', [4, width], rows.flat()],
    ['encoder_bias', [4], [0.1, 0.2, 0.3, 0.4]],
    ['encoder_weight', [width, 4], Array.from({ length: 4 * width }, (_, at) => at)],
  ];
  let offset = 0;
  const entries = parts.map(([name, sizes, values]) => {
    const from = offset;
    offset += 4 * values.length;
    return [name, { dtype: 'F32', shape: sizes, data_offsets: [from, offset] }];
  });
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const bytes = new Uint8Array(8 + header.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  const values = Float32Array.from(parts.flatMap(([, , each]) => each));
  bytes.set(new Uint8Array(values.buffer), 8 + header.length);
  const place = { kind, layer: 0 } as const;
  const description = {
    ...({ kind: 'sae', weights: '', reads: place, writes: place, features: 4 } as const),
    ...({ activation: 'relu', source: '' } as const),
  };
  return { record: { name: 'd', path: 'd', description, taps: {} }, bytes };
}

const request = {
  ids: [1, 2, 0],
  dictionary: 'd',
  position: 2,
  listed: 2,
  feature: null,
  effects: true,
};
const quiet = (): void => undefined;

test('a reading gives what rebuilds the activation, the strongest feature, and its effect on the logits', async () => {
  const rows = [
    [1, 0],
    [0, 2],
    [1, 1],
    [-1, 3],
  ];
  const given = [8, 2, 0, 1, 8, 7.5];
  const first = new Map([
    tensor('features_d', [1, 3, 4], [...dense]),
    tensor('layer_0_mlp_output', [1, 3, 2], given),
    tensor('layer_0_resid_post', [1, 3, 2], [9, 9, 9, 9, ...stream]),
  ]);
  const asked: EngineBatch[] = [];
  const dictionary = dictionaryOf('mlp_output', rows);
  const { signal } = new AbortController();
  const read = await readFeatures(
    request,
    { shape, dictionary },
    modelWith(asked, first),
    quiet,
    signal,
  );
  // x̂ = f · decoder + 1: feature 1 twice and feature 3 five times, nothing, and 7, 2 and 2.
  const rebuilt = [1 - 5, 1 + 4 + 15, 1, 1, 1 + 7 - 2, 1 + 4 + 6];
  expect(read.explained).toEqual(
    explainedVariance(Float32Array.from(given), Float32Array.from(rebuilt), 3),
  );
  expect(read.chosen?.feature).toBe(0);
  expect([...(read.chosen?.decoder ?? [])]).toEqual([1, 0]);
  expect([...(read.chosen?.encoder ?? [])]).toEqual([0, 4]);
  expect(read.chosen?.bias).toBeCloseTo(0.1, 6);
  const effects = times([1 / divisor(stream), 0], unembedding);
  for (const [id, effect] of effects.entries())
    expect(read.chosen?.logitEffects?.[id]).toBeCloseTo(effect, 4);
  // Tokens by what the rows (1, 0) and (0, 2) do to their logits.
  expect(read.raised).toEqual(
    new Map([
      [0, [0, 2, 1]],
      [1, [0, 1, 2]],
    ]),
  );
  expect(asked[0]?.activations).toEqual(['features_d', 'layer_0_mlp_output', 'layer_0_resid_post']);
});

test('what is written behind the output matrix reaches the logits through it', async () => {
  const rows = [
    [1, 0, 0],
    [0, 2, 1],
    [1, 1, 0],
    [-1, 3, 0],
  ];
  const first = new Map([
    tensor('features_d', [1, 3, 4], [...dense]),
    tensor('layer_0_mlp_act', [1, 3, 3], [0.5, 0, 0, 0, 4, 0, 0, 0, 1]),
    tensor('layer_0_mlp_output', [1, 3, 2], [0, 0, 0, 0, 0, 0]),
    tensor('layer_0_resid_post', [1, 3, 2], [9, 9, 9, 9, ...stream]),
  ]);
  const dictionary = dictionaryOf('mlp_act', rows);
  const { signal } = new AbortController();
  const ofFeature = { ...request, feature: 1 };
  const read = await readFeatures(
    ofFeature,
    { shape, dictionary },
    modelWith([], first),
    quiet,
    signal,
  );
  // 2 × (0.5, 2) + (−2, 0.25).
  const effects = times(
    [-1, 4.25].map((each) => each / divisor(stream)),
    unembedding,
  );
  for (const [id, effect] of effects.entries())
    expect(read.chosen?.logitEffects?.[id]).toBeCloseTo(effect, 4);
});

test('no effect is read where none is asked for, and no feature where none is there', async () => {
  const first = new Map([
    tensor('features_d', [1, 3, 4], [...dense]),
    tensor('layer_0_mlp_output', [1, 3, 2], [0, 0, 0, 0, 0, 0]),
    tensor('layer_0_resid_post', [1, 3, 2], [0, 0, 0, 0, 0, 0]),
  ]);
  const dictionary = dictionaryOf('mlp_output', [
    [1, 0],
    [0, 2],
    [1, 1],
    [-1, 3],
  ]);
  const { signal } = new AbortController();
  const asked: EngineBatch[] = [];
  const run = modelWith(asked, first);
  const plain = { ...request, effects: false };
  const read = await readFeatures(plain, { shape, dictionary }, run, quiet, signal);
  expect(read.chosen?.logitEffects).toBeNull();
  expect(read.raised.size).toBe(0);
  expect(asked).toHaveLength(1);
  const nothing = { ...request, position: 1 };
  expect(
    (await readFeatures(nothing, { shape, dictionary }, run, quiet, signal)).chosen,
  ).toBeNull();
  for (const wrong of [{ feature: 4 }, { feature: -1 }, { position: 3 }])
    await expect(
      readFeatures({ ...request, ...wrong }, { shape, dictionary }, run, quiet, signal),
    ).rejects.toThrow(RangeError);
});

test('a reading that is aborted runs no further', async () => {
  const dictionary = dictionaryOf('mlp_output', [
    [1, 0],
    [0, 2],
    [1, 1],
    [-1, 3],
  ]);
  const asked: EngineBatch[] = [];
  await expect(
    readFeatures(
      request,
      { shape, dictionary },
      modelWith(asked, new Map()),
      quiet,
      AbortSignal.abort(),
    ),
  ).rejects.toMatchObject({ data: { kind: 'aborted' } });
  expect(asked).toEqual([]);
});

test('the memory of a dictionary and its features is counted, for its own outputs alone', () => {
  const tap = (features: number) => ({
    outputs: [
      { name: 'features_d', dtype: 'float32', shape: ['batch_size', 'sequence_length', features] },
    ],
    bytes: '',
  });
  const manifest = {
    files: [{ path: 'd', bytes: 1000 }],
    dictionaries: [{ name: 'd', path: 'd', taps: { fp32: tap(4) } }],
    // Only what is read of it.
  } as unknown as Manifest;
  const document = { activations: { outputs: [] } };
  const variant = { name: 'fp32', plain: document, taps: [] } as unknown as Variant;
  expect(dictionaryBytes(manifest, variant, ['features_d'], 10)).toBe(3 * 1000 + 10 * 4 * 4);
  expect(dictionaryBytes(manifest, variant, ['features_other', 'layer_0_mlp_act'], 10)).toBe(0);
});
