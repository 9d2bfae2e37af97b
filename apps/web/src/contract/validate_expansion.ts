// Checks of an expansion that a JSON schema cannot express: every weight lies inside the encoded file that is
// downloaded and inside the file that it expands to, and overlaps no other. The same rules in Python:
// oriel/contract/expansion.py.
import type { EncodedWeight, Manifest, Variant } from './generated';

/** Every offset is a multiple of this many bytes: readers view parts as arrays of numbers. */
const alignment = 4;

const itemBytes = { float32: 4, float16: 2 } as const;

const needed = {
  float32: [],
  float16: [],
  channels: ['scales', 'axis', 'bits', 'signed'],
  blocks: ['scales', 'axis', 'bits', 'block'],
} as const satisfies Record<EncodedWeight['layout'], readonly (keyof EncodedWeight)[]>;

/** The parts of a weight in the encoded file, in this order. */
const parts = ['scales', 'zero_points', 'values'] as const;

/** Return what is wrong with a manifest's expansions, or null. */
export function unsoundExpansion({ files, variants }: Manifest): string | null {
  const sizes = new Map(files.map(({ path, bytes }) => [path, bytes]));
  for (const variant of variants) {
    const problem = problemOf(variant, sizes);
    if (problem !== null) return `variant ${variant.name}: ${problem}`;
  }
  return null;
}

function problemOf(
  { weights, expansion }: Variant,
  sizes: ReadonlyMap<string, number>,
): string | null {
  if (expansion === undefined) return null;
  const travelling = weights.length === 1 ? sizes.get(weights[0] ?? '') : undefined;
  if (travelling === undefined) return 'an expansion reads one weights file';
  let position = 0;
  for (const weight of expansion.weights) {
    const end = endOf(weight, position);
    if (typeof end === 'string') return `weight ${weight.name}: ${end}`;
    if (end > travelling) return `weight ${weight.name} ends at byte ${end} of ${travelling}`;
    if (weight.at % alignment !== 0) return `weight ${weight.name}: at ${weight.at}`;
    position = end;
  }
  let expanded = 0;
  for (const { name, at, shape } of expansion.weights.toSorted((a, b) => a.at - b.at)) {
    if (at < expanded) return `weight ${name} overlaps another in the expanded file`;
    expanded = at + product(shape) * itemBytes[expansion.dtype];
    if (expanded > expansion.bytes) {
      return `weight ${name} expands to byte ${expanded} of ${expansion.bytes}`;
    }
  }
  return null;
}

/** Return the end, in the encoded file, of a weight that begins at or after `position`, or what is wrong with it. */
function endOf(weight: EncodedWeight, position: number): number | string {
  const { layout, shape } = weight;
  const missing = needed[layout].find((field) => weight[field] === undefined);
  if (missing !== undefined) return `${layout} without ${missing}`;
  if (needed[layout].length > 0 && shape.length !== 2)
    return `${layout} of ${shape.length} dimensions`;
  if (layout === 'channels' && weight.bits !== 8) return `channels of ${weight.bits} bits`;
  const sizes = partSizes(weight);
  let end = position;
  for (const part of parts) {
    const offset = weight[part];
    const size = sizes[part];
    if (offset === undefined || size === undefined) continue;
    if (offset % alignment !== 0) return `${part} at ${offset}, no multiple of ${alignment}`;
    if (offset < end) return `${part} at ${offset}, before byte ${end}`;
    end = offset + size;
  }
  return end;
}

/** Return the number of bytes of each part of a weight in the encoded file. */
export function partSizes(weight: EncodedWeight): Partial<Record<(typeof parts)[number], number>> {
  const { layout, shape, axis = 0, bits = 8, block = 16 } = weight;
  const count = product(shape);
  if (layout === 'float32' || layout === 'float16') return { values: count * itemBytes[layout] };
  const channels = shape[1 - axis] ?? 0;
  if (layout === 'channels') return { scales: 2 * channels, zero_points: channels, values: count };
  const blocks = Math.ceil((shape[axis] ?? 0) / block);
  return {
    scales: 2 * channels * blocks,
    zero_points: channels * Math.ceil((blocks * bits) / 8),
    values: (channels * blocks * block * bits) / 8,
  };
}

function product(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}
