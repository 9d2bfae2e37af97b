// What the lens's cells show of measures: how values are written, where they stand on the scale, and what is missing.
import { expect, test } from 'vitest';
import type { LensShown } from '../../apps/web/src/analysis/lens_measures';
import type { LensMeasures } from '../../apps/web/src/inference/lens_reading';
import { measuredCells, type LensCells } from '../../apps/web/src/views/lens/lens_cells';

/** Two layers, two tokens. */
const followed = {
  ranks: Float32Array.of(64, NaN, 1, NaN),
  probabilities: Float32Array.of(0.01, NaN, 0.5, NaN),
};
const measures: LensMeasures = {
  layers: 2,
  tokens: 2,
  stream: {
    norm: Float32Array.of(2, 3, 8, 1.5),
    growth: Float32Array.of(1, 1, 4, 0.5),
    turn: Float32Array.of(1, 0.5, -0.25, 0),
    toFinal: Float32Array.of(0.1, 0.2, 1, 1),
  },
  predictions: {
    top: Int32Array.of(5, 6, 7, 8),
    topProbability: Float32Array.of(0.2, 0.3, 0.4, 0.5),
    divergence: Float32Array.of(3.1, 0.4, 0, 0),
    entropy: Float32Array.of(1, 2, 3, 4),
    predicted: Int32Array.of(7, 8),
    ofPredicted: followed,
    ofNext: followed,
    ofToken: null,
  },
};
const VOCAB = 4096;

function cells(shown: LensShown, of: LensMeasures = measures): LensCells {
  const found = measuredCells(shown, of, VOCAB, false);
  if (found === null) throw new Error('nothing was measured');
  return found;
}

test('ranks stand on a logarithmic scale whose end is the first place', () => {
  const found = cells({ measure: 'rank', token: 'next' });
  const { limit } = found.scale;
  expect(found.place(1)).toBeCloseTo(limit);
  expect(found.place(64)).toBeCloseTo(limit / 2);
  expect(found.place(VOCAB)).toBeCloseTo(0);
  expect([0, 0.5, 1].map((part) => found.tick(part * limit))).toEqual(['4,096', '64', '1']);
  expect(found.write(1285)).toBe('1,285');
  expect(found.valueAt(1, 0)).toBe(1);
  // The text has no next token behind its last.
  expect(found.valueAt(0, 1)).toBe(NaN);
});

test('growth is as far from the middle of the scale twice as half as long', () => {
  const found = cells({ measure: 'growth', token: 'predicted' });
  expect(found.place(1)).toBe(0);
  expect(found.place(4)).toBeCloseTo(-found.place(0.25));
  expect(found.scale).toEqual({ kind: 'signed', limit: 2, root: true });
  expect(found.tick(-2)).toBe('×0.25');
});

test('each measure gives its own values, and the likeliest token beside it', () => {
  const first = (measure: LensShown['measure']): number =>
    cells({ measure, token: 'predicted' }).valueAt(1, 0);
  expect(first('certainty')).toBeCloseTo(0.4);
  expect(first('probability')).toBeCloseTo(0.5);
  expect(first('divergence')).toBe(0);
  expect(first('entropy')).toBe(3);
  expect(first('norm')).toBe(8);
  expect(first('turn')).toBe(-0.25);
  expect(first('final')).toBe(1);
  expect(cells({ measure: 'entropy', token: 'predicted' }).topAt(1, 1)).toBe(8);
});

test('what was not measured has no cells', () => {
  expect(measuredCells({ measure: 'rank', token: 7 }, measures, VOCAB, false)).toBeNull();
  const streamAlone = { ...measures, predictions: null };
  expect(measuredCells({ measure: 'entropy', token: 7 }, streamAlone, VOCAB, false)).toBeNull();
  expect(cells({ measure: 'norm', token: 7 }, streamAlone).topAt(0, 0)).toBeNull();
});
