// Makes the lens' cells: a value for each layer and position, how it is written, and where it stands on a scale
// of colours.
import type { ActivationSeries } from '../../activations/activation_set';
import type { LensMeasure, LensShown } from '../../analysis/lens_measures';
import type { ValueScale } from '../../charts/colour_ramps';
import { roundUp } from '../../charts/round_scale';
import {
  count,
  exact,
  information,
  percent,
  signed,
  tick,
  tickPercent,
} from '../../i18n/number_format';
import type { FollowedToken, LensMeasures } from '../../inference/lens_reading';

/** A layer's taps: the likeliest tokens and their probabilities. */
export interface LensLayer {
  readonly layer: number;
  readonly ids: ActivationSeries;
  readonly probs: ActivationSeries;
}

export interface LensCells {
  /** Numbers of the layers, from the first row down. */
  readonly layers: readonly number[];
  /** The likeliest token of a cell; null where it isn't known. */
  readonly topAt: (row: number, position: number) => number | null;
  /** NaN where there is none. */
  readonly valueAt: (row: number, position: number) => number;
  /** Return a value as the cell has it, and with all its digits. */
  readonly write: (value: number) => string;
  readonly writeExact: (value: number) => string;
  /** Return where a value stands on the scale. */
  readonly place: (value: number) => number;
  readonly scale: ValueScale;
  /** Write a tick of the scale. */
  readonly tick: (place: number) => string;
}

/** Return the likeliest tokens of the layers whose taps are open, with their probabilities. */
export function tokenCells(layers: readonly LensLayer[], root: boolean): LensCells {
  return {
    layers: layers.map(({ layer }) => layer),
    topAt: (row, position) => layers[row]?.ids.row(position)[0] ?? null,
    valueAt: (row, position) => layers[row]?.probs.row(position)[0] ?? NaN,
    write: percent,
    writeExact: percent,
    place: (value) => value,
    scale: { kind: 'probability', limit: 1, root },
    tick: tickPercent,
  };
}

/** Return the cells of a measure; null where that was not measured. */
export function measuredCells(
  shown: LensShown,
  measures: LensMeasures,
  vocab: number,
  root: boolean,
): LensCells | null {
  const values = valuesOf(shown, measures);
  if (values === null) return null;
  const { layers, tokens, predictions } = measures;
  return {
    layers: Array.from({ length: layers }, (_, layer) => layer),
    topAt: (row, position) => predictions?.top[row * tokens + position] ?? null,
    valueAt: (row, position) => values[row * tokens + position] ?? NaN,
    ...writing(shown.measure, values, vocab, root),
  };
}

function valuesOf({ measure, token }: LensShown, measures: LensMeasures): Float32Array | null {
  const { stream, predictions } = measures;
  switch (measure) {
    case 'norm':
      return stream.norm;
    case 'growth':
      return stream.growth;
    case 'turn':
      return stream.turn;
    case 'final':
      return stream.toFinal;
    case 'top':
    case 'certainty':
      return predictions?.topProbability ?? null;
    case 'divergence':
      return predictions?.divergence ?? null;
    case 'entropy':
      return predictions?.entropy ?? null;
    case 'probability':
    case 'rank': {
      const followed: FollowedToken | null | undefined =
        token === 'predicted'
          ? predictions?.ofPredicted
          : token === 'next'
            ? predictions?.ofNext
            : predictions?.ofToken;
      return (measure === 'rank' ? followed?.ranks : followed?.probabilities) ?? null;
    }
  }
}

type Writing = Pick<LensCells, 'write' | 'writeExact' | 'place' | 'scale' | 'tick'>;

function writing(
  measure: LensMeasure,
  values: Float32Array,
  vocab: number,
  root: boolean,
): Writing {
  const same = (value: number): number => value;
  switch (measure) {
    case 'top':
    case 'certainty':
    case 'probability':
      return {
        ...{ write: percent, writeExact: percent, place: same, tick: tickPercent },
        scale: { kind: 'probability', limit: 1, root },
      };
    case 'rank':
      // Ranks differ by powers of ten: the scale is that of their logarithm, with the first place at its end.
      return {
        ...{ write: count, writeExact: count },
        place: (rank) => Math.log(vocab / rank),
        scale: { kind: 'probability', limit: Math.log(vocab), root: false },
        tick: (place) => count(vocab / Math.exp(place)),
      };
    case 'divergence':
    case 'entropy':
      return {
        ...{ write: information, writeExact: exact, place: same, tick },
        scale: { kind: 'magnitude', limit: roundUp(largestOf(values)), root },
      };
    case 'norm':
      return {
        ...{ write: shortNumber, writeExact: exact, place: same, tick },
        scale: { kind: 'magnitude', limit: roundUp(largestOf(values)), root },
      };
    case 'growth':
      // Twice as long and half as long are as far from the middle of the scale, which is no change.
      return {
        ...{ write: factor, writeExact: exact, place: Math.log2 },
        // Whole doublings at its ends; the first layer's are many, beside which the others' would not show.
        scale: { kind: 'signed', limit: Math.ceil(largestOf(values.map(Math.log2))), root: true },
        tick: (place) => factor(2 ** place),
      };
    case 'turn':
    case 'final':
      return {
        ...{ write: (value) => signed(round(value, 3)), writeExact: exact, place: same, tick },
        scale: { kind: 'signed', limit: 1, root: false },
      };
  }
}

function largestOf(values: Float32Array): number {
  const largest = values.reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    0,
  );
  return largest > 0 ? largest : 1;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** 12.3, 0.45, 1,234. */
function shortNumber(value: number): string {
  return value >= 1000 ? count(value) : String(Number(value.toPrecision(3)));
}

function factor(value: number): string {
  return `×${String(Number(value.toPrecision(3)))}`;
}
