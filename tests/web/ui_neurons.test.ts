// The effect of a neuron on logits, beside the formula of both kinds of norm in plain loops; and the order of neurons.
import { expect, test } from 'vitest';
import { effectsOnLogits } from '../../apps/web/src/analysis/neuron_tokens';
import type { Token } from '../../apps/web/src/session/token';
import { topPositions } from '../../apps/web/src/analysis/top_positions';
import { alongText, strongest } from '../../apps/web/src/views/neurons/strongest_neurons';

const weight = [1, 0.5, 2, -1];
const bias = [0.25, 0, -0.5, 1];
const unembedding = [
  [1, 2, -1, 0.5],
  [0, -1, 3, 1],
  [2, 0.5, 0.25, -2],
];
/** Large beside the vectors below, so that leaving it out would show. */
const EPSILON = 0.3;

type Norm = 'layer' | 'rms';

function centre(vector: readonly number[], norm: Norm): number[] {
  const mean = norm === 'layer' ? vector.reduce((a, b) => a + b) / vector.length : 0;
  return vector.map((each) => each - mean);
}
function divisor(vector: readonly number[], norm: Norm): number {
  const around = centre(vector, norm);
  return Math.sqrt(around.reduce((sum, each) => sum + each * each, 0) / around.length + EPSILON);
}
function unembedded(vector: readonly number[]): number[] {
  return unembedding.map((row) => row.reduce((sum, each, at) => sum + each * (vector[at] ?? 0), 0));
}
/** Return what a model whose final norm and unembedding are these gives for a stream. */
function logits(vector: readonly number[], norm: Norm): Float32Array {
  const by = divisor(vector, norm);
  const normed = centre(vector, norm).map(
    (each, at) => (each / by) * (weight[at] ?? 0) + (norm === 'layer' ? (bias[at] ?? 0) : 0),
  );
  return Float32Array.from(unembedded(normed));
}

test.each<Norm>(['layer', 'rms'])(
  'the effect on logits through a %s norm is that of its formula, epsilon included',
  (norm) => {
    const row = [0.02, -0.01, 0.03, 0.05];
    const stream = [0.4, -0.2, 0.9, 0.1];
    const longer = (vector: readonly number[]): number[] => vector.map((each) => each * 1e4);
    const found = effectsOnLogits(
      {
        zero: logits([0, 0, 0, 0], norm),
        equal: logits([1e4, 1e4, 1e4, 1e4], norm),
        row: logits(longer(longer(row)), norm),
        stream: logits(stream, norm),
        long: logits(longer(stream), norm),
      },
      { row: Float32Array.from(row), stream: Float32Array.from(stream) },
    );
    const by = divisor(stream, norm);
    const right = unembedded(centre(row, norm).map((each, at) => (each / by) * (weight[at] ?? 0)));
    expect(found).toHaveLength(right.length);
    for (const [id, effect] of found.entries()) expect(effect).toBeCloseTo(right[id] ?? NaN, 5);
  },
);

const tokens = [0, 1].map((position) => ({ position }) as Token);
/** Two layers of three and two neurons. */
const found = {
  run: '',
  tokens,
  activations: [Float32Array.of(0, 0, 0, 1, -4, 2), Float32Array.of(0, 0, 3, -0.5)],
  rows: [Float32Array.of(1, 0.5, 2), Float32Array.of(0.25, 10)],
};
const named = (order: 'write' | 'activation' | 'up' | 'down', layer: number | null): string[] =>
  strongest(found, { layer, order, count: 3 }, 1).map((each) => `${each.layer}.${each.neuron}`);

test('neurons are ordered by what they write, and by their activations', () => {
  expect(named('write', null)).toEqual(['1.1', '0.2', '0.1']);
  expect(named('activation', null)).toEqual(['0.1', '1.0', '0.2']);
  expect(named('up', null)).toEqual(['1.0', '0.2', '0.0']);
  expect(named('down', null)).toEqual(['0.1', '1.1', '0.0']);
  expect(named('write', 0)).toEqual(['0.2', '0.1', '0.0']);
});

test('a neuron is followed along the text', () => {
  expect([...alongText(found, 1, 1)]).toEqual([0, -0.5]);
  expect(topPositions(Float32Array.of(0.1, -3, 2), 2)).toEqual([1, 2]);
});
