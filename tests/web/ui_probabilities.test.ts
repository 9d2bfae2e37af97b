// Probabilities and sampling against plain, slow definitions of the same things.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entropyBits, largest, rankOf, softmax } from '../../apps/web/src/analysis/probabilities';
import { drawToken, samplingDistribution } from '../../apps/web/src/analysis/sampling';

const logits = fc.array(fc.float({ min: -60, max: 60, noNaN: true }), {
  minLength: 1,
  maxLength: 60,
});

test('softmax of hand-computed logits', () => {
  const found = softmax([0, Math.log(2), Math.log(5)]);
  expect(Array.from(found, (p) => Number(p.toFixed(12)))).toEqual([0.125, 0.25, 0.625]);
  expect(softmax([1e4, 1e4 + Math.log(3)])[1]).toBeCloseTo(0.75, 12);
});

test('softmax sums to 1 and does not care for a shift', () => {
  fc.assert(
    fc.property(logits, fc.integer({ min: -50, max: 50 }), (values, shift) => {
      const plain = softmax(values);
      const shifted = softmax(values.map((value) => value + shift));
      expect(plain.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 10);
      plain.forEach((p, id) => {
        expect(shifted[id]).toBeCloseTo(p, 10);
      });
    }),
  );
});

test('the largest values are those of a stable sort', () => {
  fc.assert(
    fc.property(logits, fc.integer({ min: 1, max: 70 }), (values, count) => {
      const sorted = values
        .map((value, id) => ({ value, id }))
        .sort((a, b) => b.value - a.value || a.id - b.id)
        .slice(0, count)
        .map(({ id }) => id);
      expect(largest(values, count)).toEqual(sorted);
      sorted.forEach((id, rank) => {
        expect(rankOf(values, id)).toBe(rank);
      });
    }),
  );
});

/** Temperature, then top-k, then top-p, written down as they are defined. */
function naive(values: readonly number[], temperature: number, topK: number, topP: number) {
  const weights = softmax(values, temperature);
  let kept = values
    .map((_, id) => id)
    .sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
  if (topK > 0) kept = kept.slice(0, topK);
  const total = kept.reduce((sum, id) => sum + (weights[id] ?? 0), 0);
  if (topP < 1) {
    let sum = 0;
    const nucleus: number[] = [];
    for (const id of kept) {
      if (nucleus.length > 0 && sum >= topP) break;
      nucleus.push(id);
      sum += (weights[id] ?? 0) / total;
    }
    kept = nucleus;
  }
  const rest = kept.reduce((sum, id) => sum + (weights[id] ?? 0), 0);
  return values.map((_, id) => (kept.includes(id) ? (weights[id] ?? 0) / rest : 0));
}

test('sampling is temperature, then top-k, then top-p', () => {
  fc.assert(
    fc.property(
      logits,
      fc.double({ min: 0.1, max: 2, noNaN: true }),
      fc.integer({ min: 0, max: 20 }),
      // No sum of equal shares lies at a bound, where the last bit would decide.
      fc.constantFrom(0.0473, 0.3127, 0.4871, 0.9031, 0.9517, 1),
      (drawn, temperature, topK, topP) => {
        // Logits are equal or differ by more than the last bit of a probability, which no rule orders.
        const values = drawn.map((value) => Math.round(value * 1024) / 1024);
        const found = samplingDistribution(values, { temperature, topK, topP });
        naive(values, temperature, topK, topP).forEach((p, id) => {
          expect(found[id]).toBeCloseTo(p, 9);
        });
      },
    ),
  );
});

test('top-p keeps the token that crosses the bound', () => {
  const values = [Math.log(0.5), Math.log(0.3), Math.log(0.2)];
  const found = samplingDistribution(values, { temperature: 1, topK: 0, topP: 0.6 });
  expect(Array.from(found, (p) => Number(p.toFixed(9)))).toEqual([0.625, 0.375, 0]);
});

test('temperature 0 takes the likeliest, the first of equals', () => {
  const greedy = samplingDistribution([1, 7, 7, 3], { temperature: 0, topK: 0, topP: 0.1 });
  expect([...greedy]).toEqual([0, 1, 0, 0]);
});

test('a uniform number falls on each token as often as its share', () => {
  const shares = [0.1, 0, 0.6, 0.3];
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 1000; i++) {
    const id = drawToken(shares, i / 1000);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  expect(counts[1]).toBe(0);
  counts.forEach((n, id) => {
    expect(Math.abs(n / 1000 - (shares[id] ?? 0))).toBeLessThan(0.002);
  });
  // Rounding may leave the sum a little short of 1.
  expect(drawToken([0.3, 0.6999999], 0.99999999)).toBe(1);
});

test('entropy in bits', () => {
  expect(entropyBits(Float64Array.of(0.25, 0.25, 0.25, 0.25, 0))).toBe(2);
});
