// Positions of the parts of an encoded weight, in the form that expanding it needs. contract/validate_expansion.ts
// checks them; contracts/manifest.schema.json, EncodedWeight, describes the layouts.
import type { EncodedWeight } from '../../contract/generated';
import { partSizes } from '../../contract/validate_expansion';

/** Bytes `from` … `to` - 1 of the weights file. */
export interface Extent {
  readonly from: number;
  readonly to: number;
}

export type WeightPlan = FloatPlan | ChannelsPlan | BlocksPlan;

interface Placed {
  readonly values: Extent;
  /** Offset in the expanded file, in bytes. */
  readonly at: number;
  /** Numbers in the weight. */
  readonly count: number;
}

export interface FloatPlan extends Placed {
  readonly layout: 'float32' | 'float16';
}

interface MatrixPlan extends Placed {
  /** Number of rows of the graph's matrix. */
  readonly rows: number;
  readonly columns: number;
  readonly axis: 0 | 1;
  /** Number of channels; each has `depth` numbers and scales of its own. */
  readonly channels: number;
  readonly depth: number;
  readonly scales: Extent;
  readonly zeroPoints: Extent | null;
}

export interface ChannelsPlan extends MatrixPlan {
  readonly layout: 'channels';
  readonly signed: boolean;
}

export interface BlocksPlan extends MatrixPlan {
  readonly layout: 'blocks';
  readonly bits: 4 | 8;
  readonly block: number;
  /** Number of blocks of each channel. */
  readonly blocks: number;
}

/** Return the plan of a weight. The check of the manifest ensures that it has the fields that its layout needs. */
export function planWeight(weight: EncodedWeight): WeightPlan {
  const { layout, shape, at, axis = 0, bits = 8, block = 16, signed = false } = weight;
  const sizes = partSizes(weight);
  const extent = (part: 'scales' | 'zero_points' | 'values'): Extent => {
    const from = weight[part] ?? 0;
    return { from, to: from + (sizes[part] ?? 0) };
  };
  const placed: Placed = {
    values: extent('values'),
    at,
    count: shape.reduce((count, size) => count * size, 1),
  };
  if (layout === 'float32' || layout === 'float16') return { layout, ...placed };
  const [rows = 0, columns = 0] = shape;
  const depth = axis === 0 ? rows : columns;
  const matrix: MatrixPlan = {
    ...placed,
    rows,
    columns,
    axis,
    channels: axis === 0 ? columns : rows,
    depth,
    scales: extent('scales'),
    zeroPoints: weight.zero_points === undefined ? null : extent('zero_points'),
  };
  return layout === 'channels'
    ? { ...matrix, layout, signed }
    : { ...matrix, layout, bits, block, blocks: Math.ceil(depth / block) };
}

/** A plan for some rows of a weight, and the index of their first value in the weight. */
export interface RowsPlan {
  readonly plan: WeightPlan;
  readonly first: number;
}

/**
 * Return a plan for the rows around a value, with about `numbers` values; for the whole weight if it is encoded by
 * columns. A weight that is only copied or widened counts as rows of one value.
 */
export function rowsAround(plan: WeightPlan, number: number, numbers: number): RowsPlan {
  if ('channels' in plan && plan.axis === 0) return { plan, first: 0 };
  const width = 'channels' in plan ? plan.columns : 1;
  const rows = plan.count / width;
  const together = Math.max(1, Math.floor(numbers / width));
  const first = Math.floor(Math.floor(number / width) / together) * together;
  const count = Math.min(rows - first, together);
  const inRows = ({ from, to }: Extent): Extent => {
    const rowBytes = (to - from) / rows;
    return { from: from + first * rowBytes, to: from + (first + count) * rowBytes };
  };
  const placed = { values: inRows(plan.values), count: count * width };
  const own =
    'channels' in plan
      ? {
          ...{ ...plan, ...placed, rows: count, channels: count },
          scales: inRows(plan.scales),
          zeroPoints: plan.zeroPoints && inRows(plan.zeroPoints),
        }
      : { ...plan, ...placed };
  return { plan: own, first: first * width };
}
