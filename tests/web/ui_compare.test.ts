// Two variants side by side: divergences and differences of cases worked out by hand.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differenceRow, largestDifference } from '../../apps/web/src/analysis/compare_attention';
import {
  divergenceNats,
  logProbabilities,
  pairPredictions,
} from '../../apps/web/src/analysis/compare_predictions';

const logits = (probabilities: readonly number[], shift = 0): Float32Array =>
  Float32Array.from(probabilities, (p) => Math.log(p) + shift);

describe('divergence', () => {
  test('is Σ p ln(p/q), in nats and in both directions', () => {
    // ¾ ln(¾ / ½) + ¼ ln(¼ / ½) = ¾ ln 3 − ln 2; the other way ½ ln(½ / ¾) + ½ ln(½ / ¼) = ln 2 − ½ ln 3.
    const [a, b] = [logProbabilities(logits([0.75, 0.25])), logProbabilities(logits([0.5, 0.5]))];
    expect(divergenceNats(a, b)).toBeCloseTo(0.75 * Math.log(3) - Math.LN2, 6);
    expect(divergenceNats(b, a)).toBeCloseTo(Math.LN2 - 0.5 * Math.log(3), 6);
  });

  test('is 0 between a prediction and itself, whatever is added to all logits', () => {
    const same = logProbabilities(logits([0.5, 0.25, 0.25]));
    expect(divergenceNats(same, same)).toBe(0);
    expect(
      divergenceNats(same, logProbabilities(Float64Array.of(3, 3 - Math.LN2, 3 - Math.LN2))),
    ).toBeCloseTo(0, 7);
  });

  test('a probability that no number can hold still counts', () => {
    // Softmax alone would give 0 and an infinite divergence; the truth is 1000 nats.
    const [sure, other] = [logProbabilities([0, 1000]), logProbabilities([1000, 0])];
    expect(divergenceNats(other, sure)).toBe(1000);
  });

  test('a token that A has excluded costs nothing, one that only B has excluded everything', () => {
    const [some, all] = [logProbabilities([0, -Infinity]), logProbabilities([0, 0])];
    expect(divergenceNats(some, all)).toBeCloseTo(Math.LN2, 12);
    expect(divergenceNats(all, some)).toBe(Infinity);
  });

  test('is never negative', () => {
    const values = fc.array(fc.float({ min: -50, max: 50, noNaN: true }), {
      minLength: 4,
      maxLength: 4,
    });
    fc.assert(
      fc.property(values, values, (a, b) => {
        expect(divergenceNats(logProbabilities(a), logProbabilities(b))).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('paired tokens', () => {
  const a = logits([0.5, 0.3, 0.1, 0.06, 0.04], 7);
  const b = logits([0.2, 0.1, 0.1, 0.55, 0.05], -3);
  const pair = pairPredictions(a, b, 2);

  test('are the likeliest of either, by the higher of both, each with its own two probabilities', () => {
    expect(pair.pairs.map(({ id }) => id)).toEqual([3, 0, 1]);
    expect(pair.pairs.map((token) => Number(token.a.toFixed(6)))).toEqual([0.06, 0.5, 0.3]);
    expect(pair.pairs.map((token) => Number(token.b.toFixed(6)))).toEqual([0.55, 0.2, 0.1]);
  });

  test('the rest is what they leave', () => {
    expect(pair.rest.a).toBeCloseTo(0.14, 6);
    expect(pair.rest.b).toBeCloseTo(0.15, 6);
  });

  test('the likeliest are named, the first of equals', () => {
    expect([pair.bestA, pair.bestB]).toEqual([0, 3]);
    expect(pairPredictions([1, 1], [1, 1], 1).bestB).toBe(0);
  });
});

describe('attention', () => {
  const a = [[1], [0.4, 0.6], [0.2, 0.3, 0.5]];
  const b = [[1], [0.5, 0.5], [0.45, 0.3, 0.25]];
  const rowsOf = (map: number[][]) => (query: number) => map[query] ?? [];

  test('a row of differences is B − A over what the query sees', () => {
    const row = Array.from(differenceRow(rowsOf(a), rowsOf(b), 2), (d) => Number(d.toFixed(6)));
    expect(row).toEqual([0.25, 0, -0.25]);
  });

  test('the largest is found with its sign, the first of equals', () => {
    expect(largestDifference(rowsOf(a), rowsOf(b), 3)).toEqual({
      query: 2,
      key: 0,
      a: 0.2,
      b: 0.45,
    });
    expect(largestDifference(rowsOf(b), rowsOf(a), 2)).toEqual({
      query: 1,
      key: 0,
      a: 0.5,
      b: 0.4,
    });
  });

  test('what stands right of the diagonal is not attention', () => {
    const padded = [
      [1, 9],
      [0.4, 0.6],
    ];
    expect(
      largestDifference(
        rowsOf(padded),
        rowsOf([
          [1, 0],
          [0.4, 0.6],
        ]),
        2,
      ),
    ).toMatchObject({ a: 1, b: 1 });
  });

  test('no tokens, no difference', () => {
    expect(largestDifference(rowsOf(a), rowsOf(b), 0)).toBeNull();
  });
});
