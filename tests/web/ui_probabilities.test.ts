// Probabilities and sampling against plain, slow definitions of the same things.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { entropyBits, largest, rankOf, softmax } from '../../apps/web/src/analysis/probabilities';
import {
  drawToken,
  samplingCuts,
  samplingDistribution,
  type SamplingSettings,
} from '../../apps/web/src/analysis/sampling';
import { splitMix64, uniformAt } from '../../apps/web/src/analysis/seeded_random';

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

const PLAIN: SamplingSettings = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: null };

/** Temperature, then top-k, then top-p, then min-p, written down as they are defined. */
function naive(
  values: readonly number[],
  { temperature, topK, topP, minP }: Omit<SamplingSettings, 'seed'>,
) {
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
  const most = Math.max(...kept.map((id) => weights[id] ?? 0));
  kept = kept.filter((id) => (weights[id] ?? 0) >= minP * most);
  const rest = kept.reduce((sum, id) => sum + (weights[id] ?? 0), 0);
  return values.map((_, id) => (kept.includes(id) ? (weights[id] ?? 0) / rest : 0));
}

test('sampling is temperature, then top-k, then top-p, then min-p', () => {
  fc.assert(
    fc.property(
      logits,
      fc.double({ min: 0.1, max: 2, noNaN: true }),
      fc.integer({ min: 0, max: 20 }),
      // No sum of equal shares lies at a bound, where the last bit would decide.
      fc.constantFrom(0.0473, 0.3127, 0.4871, 0.9031, 0.9517, 1),
      fc.constantFrom(0, 0.0031, 0.0517, 0.3137),
      (drawn, temperature, topK, topP, minP) => {
        // Logits are equal or differ by more than the last bit of a probability, which no rule orders.
        const values = drawn.map((value) => Math.round(value * 1024) / 1024);
        const settings = { temperature, topK, topP, minP, seed: null };
        const found = samplingDistribution(values, settings);
        naive(values, settings).forEach((p, id) => {
          expect(found[id]).toBeCloseTo(p, 9);
        });
      },
    ),
  );
});

test('top-p keeps the token that crosses the bound', () => {
  const values = [Math.log(0.5), Math.log(0.3), Math.log(0.2)];
  const found = samplingDistribution(values, { ...PLAIN, topP: 0.6 });
  expect(Array.from(found, (p) => Number(p.toFixed(9)))).toEqual([0.625, 0.375, 0]);
});

test('temperature 0 takes the likeliest, the first of equals', () => {
  const greedy = samplingDistribution([1, 7, 7, 3], { ...PLAIN, temperature: 0, topP: 0.1 });
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

test('each rule says how many tokens it cut of those before it, and what they held', () => {
  const shares = [0.4, 0.3, 0.2, 0.06, 0.03, 0.01];
  const values = shares.map(Math.log);
  // Top-k leaves 0.96; of that the first three are 0.9375; of the likeliest, the third is a half.
  const settings = { ...PLAIN, topK: 4, topP: 0.93, minP: 0.6 };
  const { kept, cuts } = samplingCuts(values, settings);
  const rounded = (given: object) =>
    Object.fromEntries(
      Object.entries(given).map(([name, value]: [string, unknown]) => [
        name,
        typeof value === 'number' ? Number(value.toFixed(9)) : value,
      ]),
    );
  expect(cuts.map(rounded)).toEqual([
    { rule: 'top-k', tokens: 2, mass: 0.04, tempered: 0.04 },
    { rule: 'top-p', tokens: 1, mass: 0.06, tempered: 0.06 },
    { rule: 'min-p', tokens: 1, mass: 0.2, tempered: 0.2 },
  ]);
  expect(rounded(kept)).toEqual({ tokens: 2, mass: 0.7, tempered: 0.7 });
  // At temperature 1/2 the shares are the squares, which sum to 0.2946.
  const cold = samplingCuts(values, { ...PLAIN, temperature: 0.5, topK: 1 });
  expect(cold.kept.mass).toBeCloseTo(0.4, 9);
  expect(cold.kept.tempered).toBeCloseTo(0.16 / 0.2946, 9);
  expect(samplingCuts(values, { ...PLAIN, temperature: 0 }).cuts.map(rounded)).toEqual([
    { rule: 'greedy', tokens: 5, mass: 0.6, tempered: 0.6 },
  ]);
  expect(samplingCuts(values, PLAIN)).toMatchObject({ kept: { tokens: 6 }, cuts: [] });
});

test('the numbers of a seed are those that SplitMix64 is known by', () => {
  // The first numbers of seed 1234567, as its authors' and others' implementations print them.
  const known = [
    ...[6457827717110365317n, 3203168211198807973n, 9817491932198370423n],
    ...[4593380528125082431n, 16408922859458223821n],
  ];
  expect(known.map((_, place) => splitMix64(1234567, place))).toEqual(known);
  const drawn = Array.from({ length: 2000 }, (_, place) => uniformAt(7, place));
  expect(drawn.every((value) => value >= 0 && value < 1)).toBe(true);
  expect(drawn.reduce((sum, value) => sum + value, 0) / 2000).toBeCloseTo(0.5, 1);
});
