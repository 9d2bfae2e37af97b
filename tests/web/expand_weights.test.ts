// Expansion gives the values that each layout defines, wherever the expanded file is split into ranges.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExpandedRanges } from '../../apps/web/src/bundle/weights/expanded_ranges';
import type { EncodedWeight, Expansion } from '../../apps/web/src/contract/generated';
import { examples } from './thorough';

/** A weight but for where it lies. */
type Layout = Omit<EncodedWeight, 'name' | 'at' | 'values' | 'scales' | 'zero_points'> & {
  readonly zeroPoints: boolean;
};

interface Case {
  readonly expansion: Expansion;
  readonly encoded: Uint8Array;
}

/** The float16 of these bits, from its definition; the sign, 5 bits of exponent, 10 of fraction. */
function float16(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * 2 ** -14 * (fraction / 1024)
    : sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

/** The bits of the nearest float16, the even one of two, found by looking at all of them. */
function nearestFloat16(number: number): number {
  const sign = number < 0 || Object.is(number, -0) ? 0x8000 : 0;
  const size = Math.abs(number);
  if (size >= 65520) return sign | 0x7c00;
  let [low, high] = [0, 0x7bff];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (float16(middle) <= size) low = middle;
    else high = middle;
  }
  const [below, above] = [size - float16(low), float16(high) - size];
  if (below !== above) return sign | (below < above ? low : high);
  return sign | (low % 2 === 0 ? low : high);
}

const word = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint16(at, true);

/** One number of a weight, read as contracts/manifest.schema.json describes its layout. */
function decode(weight: EncodedWeight, bytes: Uint8Array, row: number, column: number): number {
  const [rows = 1, columns = 1] = weight.shape;
  const at = row * columns + column;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (weight.layout === 'float32') return view.getFloat32(weight.values + at * 4, true);
  if (weight.layout === 'float16') return float16(word(bytes, weight.values + at * 2));
  const channel = weight.axis === 0 ? column : row;
  const along = weight.axis === 0 ? row : column;
  const depth = weight.axis === 0 ? rows : columns;
  const { scales = NaN, zero_points: zeros, bits = 8, block = depth } = weight;
  if (weight.layout === 'channels') {
    const read = weight.signed
      ? (offset: number) => view.getInt8(offset)
      : (offset: number) => view.getUint8(offset);
    const zero = zeros === undefined ? (weight.signed ? 0 : 128) : read(zeros + channel);
    return (read(weight.values + at) - zero) * float16(word(bytes, scales + channel * 2));
  }
  const blocks = Math.ceil(depth / block);
  const index = Math.floor(along / block);
  /** The n-th number of `bits` bits in a row of bytes, low ones first. */
  const packed = (start: number, n: number): number =>
    bits === 8
      ? view.getUint8(start + n)
      : Math.floor(view.getUint8(start + Math.floor(n / 2)) / (n % 2 === 0 ? 1 : 16)) % 16;
  const inBlock = weight.values + ((channel * blocks + index) * block * bits) / 8;
  const zero =
    zeros === undefined
      ? 2 ** (bits - 1)
      : packed(zeros + channel * Math.ceil((blocks * bits) / 8), index);
  const scale = float16(word(bytes, scales + (channel * blocks + index) * 2));
  return (packed(inBlock, along - index * block) - zero) * scale;
}

function decodeAll({ expansion, encoded }: Case): Uint8Array {
  const expanded = new Uint8Array(expansion.bytes);
  const view = new DataView(expanded.buffer);
  for (const weight of expansion.weights) {
    const count = weight.shape.reduce((product, size) => product * size, 1);
    const columns = weight.shape.length === 2 ? (weight.shape[1] ?? 1) : count;
    for (let i = 0; i < count; i++) {
      const number = decode(weight, encoded, Math.floor(i / columns), i % columns);
      if (expansion.dtype === 'float32') view.setFloat32(weight.at + i * 4, number, true);
      else view.setUint16(weight.at + i * 2, nearestFloat16(number), true);
    }
  }
  return expanded;
}

/** Lays weights out one after another, with gaps, and fills the file with bytes that stand for finite numbers. */
function layOut(layouts: readonly Layout[], dtype: Expansion['dtype'], seed: number): Case {
  let size = 0;
  let at = 0;
  let state = seed;
  const random = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const reserve = (bytes: number): number => {
    const start = Math.ceil(size / 64) * 64;
    size = start + bytes;
    return start;
  };
  const weights = layouts.map(({ zeroPoints, ...layout }, index): EncodedWeight => {
    const [rows = 1, columns = 1] = layout.shape;
    const count = layout.shape.reduce((product, side) => product * side, 1);
    const [channels, depth] = layout.axis === 0 ? [columns, rows] : [rows, columns];
    const blocks = Math.ceil(depth / (layout.block ?? depth));
    const bits = layout.bits ?? 8;
    const groups = layout.layout === 'channels' ? channels : channels * blocks;
    const quantized = layout.layout === 'channels' || layout.layout === 'blocks';
    const scales = quantized ? { scales: reserve(groups * 2) } : {};
    const zeros =
      quantized && zeroPoints
        ? {
            zero_points: reserve(
              layout.layout === 'channels' ? channels : channels * Math.ceil((blocks * bits) / 8),
            ),
          }
        : {};
    const bytes = {
      float32: count * 4,
      float16: count * 2,
      channels: count,
      blocks: (channels * blocks * (layout.block ?? 0) * bits) / 8,
    }[layout.layout];
    const values = reserve(bytes);
    at += 64 * random(2);
    const weight = { name: `weight ${index}`, at, ...layout, ...scales, ...zeros, values };
    at = Math.ceil((at + count * 4) / 64) * 64;
    return weight;
  });
  const encoded = Uint8Array.from({ length: size }, () => random(256));
  const view = new DataView(encoded.buffer);
  for (const { layout, scales = 0, values, shape } of weights) {
    const count = shape.reduce((product, side) => product * side, 1);
    const end = layout === 'float16' ? values + count * 2 : values;
    const start = layout === 'float16' ? values : scales;
    // Neither infinite nor NaN: those have their own test.
    if (layout !== 'float32') {
      for (let place = start; place + 1 < end; place += 2) {
        if (((word(encoded, place) >> 10) & 31) === 31) encoded[place + 1] = random(124);
      }
    } else {
      for (let i = 0; i < count; i++) view.setFloat32(values + i * 4, random(2000) / 7 - 100, true);
    }
  }
  const expansion = { path: 'x', bytes: at, digest: '', dtype, weights };
  return { expansion, encoded };
}

/** Reads the expanded file in ranges that end at the given offsets, expanding a few values at a time. */
function expand({ expansion, encoded }: Case, cuts: readonly number[]): Uint8Array {
  const whole = {
    bytes: encoded.length,
    read: (into: Uint8Array, at: number): void => {
      if (at + into.length > encoded.length) throw new RangeError('beyond the file');
      into.set(encoded.subarray(at, at + into.length));
    },
  };
  const ranges = new ExpandedRanges(expansion, whole, 100);
  const expanded = new Uint8Array(ranges.bytes).fill(0xa5);
  let at = 0;
  for (const cut of [...cuts.toSorted((a, b) => a - b), expansion.bytes]) {
    ranges.read(expanded.subarray(at, cut), at);
    at = cut;
  }
  return expanded;
}

const side = fc.integer({ min: 1, max: 150 });
const shape = fc.tuple(side, side).filter(([a, b]) => a * b < 3000);
const axis = fc.constantFrom<(0 | 1)[]>(0, 1);
const zeroPoints = fc.boolean();

const floats = fc.record({
  layout: fc.constantFrom<('float32' | 'float16')[]>('float32', 'float16'),
  shape: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
  zeroPoints: fc.constant(false),
});
const channels = fc.record({
  layout: fc.constant<'channels'>('channels'),
  ...{ shape, axis, zeroPoints, bits: fc.constant<8>(8), signed: fc.boolean() },
});
const blocks = fc.record({
  layout: fc.constant<'blocks'>('blocks'),
  ...{ shape, axis, zeroPoints, bits: fc.constantFrom<(4 | 8)[]>(4, 8) },
  block: fc.constantFrom<(16 | 32 | 64 | 128 | 256)[]>(16, 32, 64, 128, 256),
});

test.each(['float32', 'float16'] as const)(
  'every layout expands to %s as its definition says, cut anywhere',
  (dtype) => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(floats, channels, blocks), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 }),
        (layouts, seed, cuts) => {
          const made = layOut(layouts, dtype, seed);
          const places = cuts.map((share) => Math.floor(share * made.expansion.bytes));
          const [got, right] = [expand(made, places), decodeAll(made)];
          // One look at all bytes is a hundred times as fast as a comparison of arrays.
          expect(Buffer.compare(got, right)).toBe(0);
        },
      ),
      { numRuns: examples(150) },
    );
  },
);

test.each([
  ['channels', 8, 0],
  ['channels', 8, 1],
  ['blocks', 8, 0],
  ['blocks', 8, 1],
  ['blocks', 4, 0],
  ['blocks', 4, 1],
] as const)('%s of %i bits along axis %i, a byte at a time', (layout, bits, axis) => {
  const block = layout === 'blocks' ? { block: 16 as const } : {};
  const signed = layout === 'channels' ? { signed: true } : {};
  // Wider than a tile, with a last block and a last tile that are not whole.
  const weight = { layout, bits, axis, ...block, ...signed, shape: [37, 131], zeroPoints: true };
  const made = layOut([weight, { ...weight, zeroPoints: false }], 'float32', 5);
  const everywhere = Array.from({ length: made.expansion.bytes }, (_, index) => index);
  expect(Buffer.compare(expand(made, everywhere), decodeAll(made))).toBe(0);
});

test('blocks that a person can check', () => {
  // Scale 0.5 (0x3800); zero point 8; the block's first bytes are 0x97, 0x08: 7, 9, 8, 0.
  const encoded = new Uint8Array(72).fill(0x88);
  encoded.set([0x00, 0x38]);
  encoded.set([0x97, 0x08], 64);
  const common = { name: 'w', at: 0, layout: 'blocks', bits: 4, block: 16, scales: 0 } as const;
  const read = (weight: EncodedWeight): number[] => {
    const expansion = { path: 'x', bytes: 16, digest: '', dtype: 'float32', weights: [weight] };
    const bytes = expand({ expansion: expansion as Expansion, encoded }, []);
    return [...new Float32Array(bytes.buffer as ArrayBuffer)];
  };
  expect(read({ ...common, values: 64, shape: [1, 4], axis: 1 })).toEqual([-0.5, 0.5, 0, -4]);
  expect(read({ ...common, values: 64, shape: [4, 1], axis: 0 })).toEqual([-0.5, 0.5, 0, -4]);
});

const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/encoded_weights.json', import.meta.url), 'utf8'),
) as { cases: { name: string; encoded: string; expanded: string; expansion: Expansion }[] };

test.each(fixtures.cases)('Python expands $name to the same bits', (written) => {
  const encoded = Uint8Array.from(Buffer.from(written.encoded, 'base64'));
  const right = Buffer.from(written.expanded, 'base64');
  const everywhere = Array.from(right, (_, index) => index);
  for (const cuts of [[], everywhere]) {
    const got = expand({ expansion: written.expansion, encoded }, cuts);
    expect(Buffer.compare(got, right)).toBe(0);
    const digest = `sha256:${createHash('sha256').update(got).digest('hex')}`;
    expect(digest).toBe(written.expansion.digest);
  }
});

test('all float16 widen, infinities and NaN too, and round back to themselves', () => {
  const encoded = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer);
  const weight: EncodedWeight = {
    ...{ name: 'w', shape: [65536], at: 0, values: 0 },
    layout: 'float16',
  };
  for (const dtype of ['float32', 'float16'] as const) {
    const bytes = 65536 * (dtype === 'float32' ? 4 : 2);
    const expansion: Expansion = { path: 'x', bytes, digest: '', dtype, weights: [weight] };
    const expanded = expand({ expansion, encoded }, [77_777]).buffer as ArrayBuffer;
    if (dtype === 'float16') {
      const bits = new Uint16Array(expanded);
      // NaN has many bits; all others come back as they were.
      bits.forEach((got, index) => {
        if (Number.isNaN(float16(index))) expect(Number.isNaN(float16(got))).toBe(true);
        else if (got !== index) expect(got).toBe(index);
      });
    } else {
      const right = Array.from({ length: 65536 }, (_, bits) => float16(bits));
      expect(Array.from(new Float32Array(expanded))).toEqual(right);
    }
  }
});
