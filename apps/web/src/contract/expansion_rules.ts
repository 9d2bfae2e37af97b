// Where the parts of an encoded weight lie, and what an expansion must keep to for a reader to trust it. The layouts are
// told in contracts/manifest.schema.json, EncodedWeight; expanding them is bundle/expand_weights.ts.
import type { EncodedWeight, Expansion } from './generated';

/** Bytes `from` … `to` - 1 of a file. */
export interface Extent {
  readonly from: number;
  readonly to: number;
}

/** An encoded weight with all that its layout needs, and where it lies. */
export type WeightPlan = FloatPlan | ChannelsPlan | BlocksPlan;

interface Placed {
  /** In the weights file. */
  readonly values: Extent;
  /** In the expanded file. */
  readonly expanded: Extent;
  /** Numbers in the weight. */
  readonly count: number;
}

export interface FloatPlan extends Placed {
  readonly layout: 'float32' | 'float16';
}

interface Quantized extends Placed {
  /** Of the graph's matrix. */
  readonly rows: number;
  readonly columns: number;
  readonly axis: 0 | 1;
  /** In the weights file, before the values. */
  readonly scales: Extent;
  readonly zeroPoints: Extent | null;
}

export interface ChannelsPlan extends Quantized {
  readonly layout: 'channels';
  readonly signed: boolean;
}

export interface BlocksPlan extends Quantized {
  readonly layout: 'blocks';
  readonly bits: 4 | 8;
  readonly block: number;
}

/** How many output channels a matrix has, and how many of its numbers each one sums over. */
export function channelSizes({ rows, columns, axis }: ChannelsPlan | BlocksPlan): {
  channels: number;
  depth: number;
} {
  return axis === 0 ? { channels: columns, depth: rows } : { channels: rows, depth: columns };
}

/** Throws RangeError for a weight whose layout lacks what it needs. */
export function planWeight(weight: EncodedWeight, dtype: Expansion['dtype']): WeightPlan {
  const { layout, shape, name } = weight;
  const count = shape.reduce((product, size) => product * size, 1);
  const placed = (valueBytes: number): Placed => ({
    count,
    values: extent(weight.values, valueBytes),
    expanded: extent(weight.at, count * (dtype === 'float32' ? 4 : 2)),
  });
  if (layout === 'float32') return { layout, ...placed(count * 4) };
  if (layout === 'float16') return { layout, ...placed(count * 2) };
  const { scales, zero_points: zeroPoints, axis } = weight;
  const [rows = 0, columns = 0] = shape;
  if (shape.length !== 2) throw new RangeError(`${name}: ${layout} need a matrix`);
  if (axis === undefined || scales === undefined) {
    throw new RangeError(`${name}: ${layout} need axis and scales`);
  }
  const channels = axis === 0 ? columns : rows;
  const depth = axis === 0 ? rows : columns;
  const at = (start: number | undefined, bytes: number): Extent | null =>
    start === undefined ? null : extent(start, bytes);
  if (layout === 'channels') {
    return {
      ...placed(count),
      ...{ layout, rows, columns, axis, signed: weight.signed === true },
      scales: extent(scales, channels * 2),
      zeroPoints: at(zeroPoints, channels),
    };
  }
  const { bits, block } = weight;
  if (bits === undefined || block === undefined) {
    throw new RangeError(`${name}: blocks need bits and a block`);
  }
  const blocks = Math.ceil(depth / block);
  return {
    ...placed(channels * blocks * ((block * bits) / 8)),
    ...{ layout, rows, columns, axis, bits, block },
    scales: extent(scales, channels * blocks * 2),
    zeroPoints: at(zeroPoints, channels * Math.ceil((blocks * bits) / 8)),
  };
}

/** What is wrong with an expansion of a weights file of so many bytes; null where nothing is. */
export function expansionFault(
  { weights, dtype, bytes }: Expansion,
  encodedBytes: number,
): string | null {
  const read: (Extent & { what: string })[] = [];
  const written: (Extent & { what: string })[] = [];
  let last = 0;
  for (const weight of weights) {
    const { name, at } = weight;
    let plan: WeightPlan;
    try {
      plan = planWeight(weight, dtype);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    if (at % (dtype === 'float32' ? 4 : 2) !== 0) return `${name}: at ${at} is not aligned`;
    if (plan.values.from < last) return `${name}: values are not in the file's order`;
    last = plan.values.to;
    const { values, expanded } = plan;
    const helpers =
      'scales' in plan ? [plan.scales, ...(plan.zeroPoints === null ? [] : [plan.zeroPoints])] : [];
    if (helpers.some(({ to }) => to > values.from)) {
      return `${name}: scales and zero points must come before the values`;
    }
    read.push(...[...helpers, values].map((part) => ({ ...part, what: name })));
    written.push({ ...expanded, what: name });
  }
  return (
    misplaced(read, encodedBytes, 'the weights file') ??
    misplaced(written, bytes, 'the expanded file')
  );
}

/** Parts beyond the file's end, or that overlap. */
function misplaced(
  parts: readonly (Extent & { what: string })[],
  size: number,
  file: string,
): string | null {
  let end = 0;
  let before = '';
  for (const { from, to, what } of parts.toSorted((a, b) => a.from - b.from)) {
    if (to > size) return `${what}: ends at byte ${to} of ${file}, which has ${size}`;
    if (from < end) return `${what}: overlaps ${before} in ${file}`;
    end = to;
    before = what;
  }
  return null;
}

function extent(from: number, bytes: number): Extent {
  return { from, to: from + bytes };
}
