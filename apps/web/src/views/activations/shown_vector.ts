// The vector of an activation at a token, heads one after another, and the numbers of it that are written out.
import type { ActivationSeries } from '../../activations/activation_set';
import { furthestFromZero, norm, type Vector } from '../../analysis/vectors';
import type { ShownActivation } from '../../reproduce/shown_numbers';

/** Number of values that are written out. */
export const STRONGEST = 8;

/** Return the values of all heads at a position, one head after the other. */
export function vectorAt(series: ActivationSeries, position: number): Vector {
  if (series.heads === 1) return series.row(position);
  const all = new Float32Array(series.width * series.heads);
  for (let head = 0; head < series.heads; head++)
    all.set(series.row(position, head), head * series.width);
  return all;
}

/** Return what is shown of an activation at a position. */
export function shownVector(
  name: string,
  series: ActivationSeries,
  position: number,
): ShownActivation {
  const values = vectorAt(series, position);
  const indices = furthestFromZero(values, STRONGEST);
  return {
    thing: 'activation',
    name,
    position,
    indices,
    values: indices.map((index) => values[index] ?? NaN),
    norm: norm(values),
  };
}
