// What a classifier's logits say, by its problem, with hand-computed numbers.
import { expect, test } from 'vitest';
import { labelScores } from '../../apps/web/src/analysis/label_scores';
import { logitRows, maskTokenOf, shownLogits } from '../../apps/web/src/contract/whole_text';

const logits = Float32Array.from([0, Math.log(3), -Math.log(3)]);

test('each problem reads logits in its own way', () => {
  // exp: 1, 3, 1/3.
  const sum = 1 + 3 + 1 / 3;
  [1 / sum, 3 / sum, 1 / 3 / sum].forEach((probability, at) => {
    expect(labelScores(logits, 'single_label')[at]).toBeCloseTo(probability, 6);
  });
  [0.5, 0.75, 0.25].forEach((probability, at) => {
    expect(labelScores(logits, 'multi_label')[at]).toBeCloseTo(probability, 6);
  });
  expect([...labelScores(logits, 'regression')]).toEqual([...logits]);
});

test('texts with labels have one row of logits, and no mask', () => {
  expect(logitRows([2, 3])).toEqual({ rows: 1, width: 3 });
  expect(logitRows([2, 7, 3])).toEqual({ rows: 7, width: 3 });
  expect(shownLogits({ vocab: 9 })).toEqual([1, 1, 9]);
  expect(shownLogits({ vocab: 9, labels: 3 })).toEqual([1, 1, 3]);
  expect(shownLogits({ vocab: 9, labels: 3, pooled: true })).toEqual([1, 3]);
  const shape = { bidirectional: true, vocab: 9 };
  const masked = { model: { shape }, tokenizer: { mask_token: 4 } };
  const labelled = { ...masked, model: { shape: { ...shape, labels: 3 } } };
  expect(maskTokenOf(masked as never)).toBe(4);
  expect(maskTokenOf(labelled as never)).toBe(null);
});
