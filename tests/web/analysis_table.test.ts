// Compares the page's analyses with the table that PyTorch computed. tests/python/test_analysis_table.py reads the same
// file.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { headAttribution, totalAttribution } from '../../apps/web/src/analysis/attribution';
import { repeatedTokens, scoresOf, valueWeighted } from '../../apps/web/src/analysis/head_scores';
import { lensReading } from '../../apps/web/src/analysis/lens_measures';
import { logSoftmax, measured } from '../../apps/web/src/analysis/metrics';
import {
  byKey,
  byQuery,
  scoreParts,
  scoreProducts,
} from '../../apps/web/src/analysis/qk_attribution';
import { cosines, norms } from '../../apps/web/src/analysis/residual';

interface Written {
  readonly dims: number[];
  /** NaN is stored as null. */
  readonly values: (number | null)[];
}

const table = JSON.parse(
  readFileSync(new URL('../fixtures/analysis/cases.json', import.meta.url), 'utf8'),
) as {
  head_scores: {
    name: string;
    ids: number[][];
    probs: Written;
    scores: Record<keyof ReturnType<typeof scoresOf>, Written>;
  }[];
  value_weighted: { probs: Written; values: Written; weighted: Written }[];
  streams: { stream: Written; other: Written; norms: Written; cosines: Written }[];
  metrics: {
    reference: Written;
    logits: Written;
    answer: number;
    other: number;
    log_softmax: Written;
    logit_difference: Written;
    divergence: Written;
  }[];
  attribution: {
    embedding: Written;
    heads: Written;
    attention_rest: Written;
    mlps: Written;
    bias: number;
    total: Written;
  }[];
  score_parts: {
    queries: Written;
    keys: Written;
    scale: number;
    values: Written;
    by_query: Written;
    by_key: Written;
  }[];
  lens: (Record<'logits' | 'final', Written> &
    Record<'top' | 'rank' | 'probability' | 'divergence' | 'entropy', Written> & {
      readonly tokens: number[];
    })[];
};

function given({ dims, values }: Written): { dims: number[]; data: Float32Array } {
  return { dims, data: Float32Array.from(values, (value) => value ?? NaN) };
}

function close(got: ArrayLike<number>, { values }: Written): void {
  expect(got.length).toBe(values.length);
  for (const [at, value] of values.entries()) {
    const found = got[at] ?? NaN;
    if (value === null) expect(found).toBeNaN();
    else expect(Math.abs(found - value)).toBeLessThanOrEqual(1e-6 + 1e-5 * Math.abs(value));
  }
}

/** Split a tensor along its first dimension. */
function slices(tensor: Written): Float32Array[] {
  const { dims, data } = given(tensor);
  const count = dims[0] ?? 0;
  const size = data.length / count;
  return Array.from({ length: count }, (_, at) => data.subarray(at * size, (at + 1) * size));
}

test.each(table.head_scores)('head scores: $name', ({ ids, probs, scores }) => {
  const found = scoresOf(given(probs), ids);
  expect(Object.keys(found).sort()).toEqual(Object.keys(scores).sort());
  for (const [name, score] of Object.entries(found))
    close(score, scores[name as keyof typeof scores]);
});

test.each(table.value_weighted)(
  'value-weighted attention equals the table',
  ({ probs, values, weighted }) => {
    close(valueWeighted(given(probs), given(values)).data, weighted);
  },
);

test.each(table.streams)('norms and cosines of streams equal the table', (row) => {
  close(norms(given(row.stream)).data, row.norms);
  expect(norms(given(row.stream)).dims).toEqual(row.norms.dims);
  close(cosines(given(row.stream), given(row.other)).data, row.cosines);
});

test.each(table.metrics)('metrics equal the table', (row) => {
  const rows = slices(row.logits);
  close(
    rows.flatMap((logits) => [...logSoftmax(logits)]),
    row.log_softmax,
  );
  close(
    rows.map((logits) =>
      measured({ metric: 'logit-difference', answer: row.answer, other: row.other }, logits),
    ),
    row.logit_difference,
  );
  const reference = given(row.reference).data;
  close(
    rows.map((logits) => measured({ metric: 'divergence', reference }, logits)),
    row.divergence,
  );
});

test.each(table.attribution)('the sum of shares equals the table', (row) => {
  const shares = {
    embedding: given(row.embedding).data,
    heads: slices(row.heads),
    attentionRest: slices(row.attention_rest),
    mlps: slices(row.mlps),
    bias: row.bias,
    logit: given(row.total).data,
    neurons: null,
  };
  close(totalAttribution(shares), row.total);
  const { data } = given(row.heads);
  expect(headAttribution(shares, 1, 2)).toEqual(data.subarray(5 * 8, 6 * 8));
});

test.each(table.score_parts)('the parts of a score equal the table', (row) => {
  const values = scoreProducts(given(row.queries), given(row.keys), row.scale);
  close(values.data, row.values);
  close(byQuery(values), row.by_query);
  close(byKey(values), row.by_key);
});

test('the parts of the stream are in the order of the layers', () => {
  expect(scoreParts([2]).map(({ kind, layer, head }) => [kind, layer, head])).toEqual([
    ['embedding', undefined, undefined],
    ['head', 0, 0],
    ['head', 0, 1],
    ['attention_rest', 0, undefined],
    ['mlp', 0, undefined],
    ['bias', undefined, undefined],
  ]);
});

test('repeatedTokens returns a sequence followed by itself', () => {
  const numbers = [0, 0.999, 0.5];
  const ids = repeatedTokens(3, { vocab: 10, context: 6 }, () => numbers.shift() ?? NaN);
  expect(ids).toEqual([0, 9, 5, 0, 9, 5]);
  expect(() => repeatedTokens(4, { vocab: 10, context: 7 }, () => 0)).toThrow(
    'so many tokens twice; got length 4; expected 2 to 3',
  );
});

test('arrays of mismatched sizes are refused in one line', () => {
  const square = { dims: [1, 1, 2, 2], data: [1, 0, 0.5, 0.5] };
  expect(() => scoresOf({ dims: [1, 2, 2], data: [] }, [[1, 2]])).toThrow(
    'got 1 × 2 × 2; expected batch',
  );
  expect(() => scoresOf(square, [[1, 2, 3]])).toThrow('got 1 × 3; expected 1 × 2');
  expect(() => cosines({ dims: [2], data: [1, 2] }, { dims: [1], data: [1] })).toThrow(
    'got 1; expected 2',
  );
});

test.each(table.lens)('measures of the lens are those of the table', (right) => {
  const [layers = 0, positions = 0, vocab = 0] = right.logits.dims;
  const rows = ({ data }: { data: Float32Array }): Float32Array[] =>
    Array.from({ length: data.length / vocab }, (_, row) =>
      data.slice(row * vocab, (row + 1) * vocab),
    );
  const final = rows(given(right.final)).map(logSoftmax);
  const readings = rows(given(right.logits)).map((logits, row) => {
    const position = row % positions;
    return lensReading(logits, final[position] ?? new Float64Array(), [
      right.tokens[position] ?? NaN,
    ]);
  });
  expect(readings).toHaveLength(layers * positions);
  expect(readings.map(({ top }) => top)).toEqual(right.top.values);
  expect(readings.map(({ tokens }) => tokens[0]?.rank)).toEqual(right.rank.values);
  close(
    readings.map(({ tokens }) => tokens[0]?.probability ?? NaN),
    right.probability,
  );
  close(
    readings.map(({ divergence }) => divergence),
    right.divergence,
  );
  close(
    readings.map(({ entropy }) => entropy),
    right.entropy,
  );
});
