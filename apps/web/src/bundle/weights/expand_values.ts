// The inner loops of weight expansion: encoded bytes to float32, for each layout. expanded_ranges.ts selects the bytes.
import { float16Table } from './float16';
import type { BlocksPlan, ChannelsPlan, Extent, WeightPlan } from './weight_plan';

export interface ValuesExpander {
  /** Number of bytes of values that can only be expanded together. */
  readonly unit: number;
  /** Expand `length` bytes of `encoded` from `from` on: the weight's values from byte `done`, a multiple of `unit`. */
  expand(encoded: Uint8Array, from: number, done: number, length: number): void;
}

/** Number of columns of a transposed matrix that are expanded at a time, so that whole cache lines are written. */
const tileColumns = 128;

/** Return the expander of a weight's layout; `encoded` must hold the weight's scales and zero points already. */
export function valuesExpander(
  plan: WeightPlan,
  encoded: Uint8Array,
  target: Float32Array,
): ValuesExpander {
  switch (plan.layout) {
    case 'float32':
      return copied(target);
    case 'float16':
      return widened(target);
    case 'channels':
      return plan.axis === 0
        ? channelColumns(plan, encoded, target)
        : channelRows(plan, encoded, target);
    case 'blocks':
      return plan.axis === 0
        ? blockColumns(plan, encoded, target)
        : blockRows(plan, encoded, target);
  }
}

function copied(target: Float32Array): ValuesExpander {
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  return {
    unit: 1,
    expand(encoded, from, done, length) {
      bytes.set(encoded.subarray(from, from + length), done);
    },
  };
}

function widened(target: Float32Array): ValuesExpander {
  const table = float16Table();
  return {
    unit: 2,
    expand(encoded, from, done, length) {
      widen(encoded, from, target, done / 2, length / 2, table);
    },
  };
}

function channelRows(
  plan: ChannelsPlan,
  encoded: Uint8Array,
  target: Float32Array,
): ValuesExpander {
  const scales = readScales(encoded, plan.scales);
  const zeros = channelZeros(plan, encoded);
  const flip = plan.signed ? 128 : 0;
  const { columns } = plan;
  return {
    unit: 1,
    expand(encoded, from, done, length) {
      const end = done + length;
      for (let at = done; at < end;) {
        const row = Math.floor(at / columns);
        const stop = Math.min(end, (row + 1) * columns);
        const scale = scales[row] ?? 0;
        const zero = zeros[row] ?? 0;
        scaleBytes(encoded, from + at - done, target, at, stop - at, flip, zero, scale);
        at = stop;
      }
    },
  };
}

function channelColumns(
  plan: ChannelsPlan,
  encoded: Uint8Array,
  target: Float32Array,
): ValuesExpander {
  const scales = readScales(encoded, plan.scales);
  const zeros = channelZeros(plan, encoded);
  const flip = plan.signed ? 128 : 0;
  const { columns } = plan;
  const shared = plan.zeroPoints === null;
  return {
    unit: 1,
    expand(encoded, from, done, length) {
      const end = done + length;
      for (let at = done; at < end;) {
        const column = at % columns;
        const stop = Math.min(end, at - column + columns);
        const source = from + at - done;
        const count = stop - at;
        if (shared) scaleRow(encoded, source, target, at, count, flip, 128, scales, column);
        else shiftRow(encoded, source, target, at, count, flip, zeros, scales, column);
        at = stop;
      }
    },
  };
}

function blockRows(plan: BlocksPlan, encoded: Uint8Array, target: Float32Array): ValuesExpander {
  const { block, blocks, bits, columns } = plan;
  const scales = readScales(encoded, plan.scales);
  const zeros = blockZeros(plan, encoded);
  const blockBytes = (block * bits) / 8;

  return {
    unit: blockBytes,
    expand(encoded, from, done, length) {
      const first = done / blockBytes;
      const count = length / blockBytes;
      let row = Math.floor(first / blocks);
      let inRow = first % blocks;
      for (let index = 0; index < count; index++) {
        const start = inRow * block;
        const numbers = Math.min(block, columns - start);
        const scale = scales[first + index] ?? 0;
        const zero = zeros[first + index] ?? 0;
        const source = from + index * blockBytes;
        const to = row * columns + start;
        if (bits === 4) scaleNibbles(encoded, source, target, to, numbers, zero, scale);
        else scaleBytes(encoded, source, target, to, numbers, 0, zero, scale);
        if (++inRow === blocks) {
          inRow = 0;
          row++;
        }
      }
    },
  };
}

function blockColumns(plan: BlocksPlan, encoded: Uint8Array, target: Float32Array): ValuesExpander {
  const { block, blocks, bits, columns, depth } = plan;
  const scales = readScales(encoded, plan.scales);
  const zeros = blockZeros(plan, encoded);
  const columnBytes = blocks * ((block * bits) / 8);
  const expandFour = bits === 4 ? scaleNibbleColumns : scaleByteColumns;
  const fourScales = new Float32Array(4);
  const fourZeros = new Int32Array(4);
  /** Expand one block of each of `width` columns. */
  const expandBlock = (
    encoded: Uint8Array,
    tile: number,
    column: number,
    width: number,
    index: number,
  ): void => {
    const start = index * block;
    const numbers = Math.min(block, depth - start);
    const offset = (start * bits) / 8;
    let t = 0;
    for (; t + 3 < width; t += 4) {
      for (let four = 0; four < 4; four++) {
        const group = (column + t + four) * blocks + index;
        fourScales[four] = scales[group] ?? 0;
        fourZeros[four] = zeros[group] ?? 0;
      }
      const at = tile + t * columnBytes + offset;
      const to = start * columns + column + t;
      expandFour(encoded, at, columnBytes, target, to, columns, numbers, fourZeros, fourScales);
    }
    for (; t < width; t++) {
      const group = (column + t) * blocks + index;
      const at = tile + t * columnBytes + offset;
      const to = start * columns + column + t;
      const [zero, scale] = [zeros[group] ?? 0, scales[group] ?? 0];
      scaleColumn(encoded, at, target, to, columns, numbers, bits, zero, scale);
    }
  };
  return {
    unit: columnBytes * tileColumns,
    expand(encoded, from, done, length) {
      const end = (done + length) / columnBytes;
      for (let column = done / columnBytes; column < end; column += tileColumns) {
        const width = Math.min(tileColumns, end - column);
        const tile = from + column * columnBytes - done;
        for (let index = 0; index < blocks; index++) {
          expandBlock(encoded, tile, column, width, index);
        }
      }
    },
  };
}

function readScales(encoded: Uint8Array, { from, to }: Extent): Float32Array {
  const scales = new Float32Array((to - from) / 2);
  widen(encoded, from, scales, 0, scales.length, float16Table());
  return scales;
}

/** Return one zero point per channel. Signed values and zero points are read as unsigned ones 128 higher. */
function channelZeros(plan: ChannelsPlan, encoded: Uint8Array): Int32Array {
  const { zeroPoints, signed, channels } = plan;
  const zeros = new Int32Array(channels).fill(128);
  if (zeroPoints === null) return zeros;
  const flip = signed ? 128 : 0;
  return zeros.map((_, channel) => (encoded[zeroPoints.from + channel] ?? 0) ^ flip);
}

/** Return one zero point per block of each channel. With 4 bits, two share a byte; each channel starts a new one. */
function blockZeros(plan: BlocksPlan, encoded: Uint8Array): Uint8Array {
  const { zeroPoints, bits, channels, blocks } = plan;
  const zeros = new Uint8Array(channels * blocks).fill(bits === 4 ? 8 : 128);
  if (zeroPoints === null) return zeros;
  if (bits === 8) return encoded.slice(zeroPoints.from, zeroPoints.to);
  const channelBytes = Math.ceil(blocks / 2);
  for (let channel = 0; channel < channels; channel++) {
    for (let index = 0; index < blocks; index++) {
      const pair = encoded[zeroPoints.from + channel * channelBytes + (index >> 1)] ?? 0;
      zeros[channel * blocks + index] = index % 2 === 0 ? pair & 15 : pair >> 4;
    }
  }
  return zeros;
}

/* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is inside by the manifest's check, and `?? 0` would cost time here */

// Loops take four numbers at a time, with half as many instructions per number as one by one.

/** Convert float16 to float32. Offsets in the weights file are even, which the check of the manifest ensures. */
function widen(
  from: Uint8Array,
  at: number,
  target: Float32Array,
  to: number,
  count: number,
  table: Float32Array,
): void {
  const halves = new Uint16Array(from.buffer, from.byteOffset + at, count);
  let i = 0;
  for (; i + 3 < count; i += 4) {
    target[to + i] = table[halves[i]!]!;
    target[to + i + 1] = table[halves[i + 1]!]!;
    target[to + i + 2] = table[halves[i + 2]!]!;
    target[to + i + 3] = table[halves[i + 3]!]!;
  }
  for (; i < count; i++) target[to + i] = table[halves[i]!]!;
}

function scaleBytes(
  from: Uint8Array,
  at: number,
  target: Float32Array,
  to: number,
  count: number,
  flip: number,
  zero: number,
  scale: number,
): void {
  let i = 0;
  for (; i + 3 < count; i += 4) {
    target[to + i] = ((from[at + i]! ^ flip) - zero) * scale;
    target[to + i + 1] = ((from[at + i + 1]! ^ flip) - zero) * scale;
    target[to + i + 2] = ((from[at + i + 2]! ^ flip) - zero) * scale;
    target[to + i + 3] = ((from[at + i + 3]! ^ flip) - zero) * scale;
  }
  for (; i < count; i++) target[to + i] = ((from[at + i]! ^ flip) - zero) * scale;
}

/** Like `scaleBytes`, with a scale for each number. */
function scaleRow(
  from: Uint8Array,
  at: number,
  target: Float32Array,
  to: number,
  count: number,
  flip: number,
  zero: number,
  scales: Float32Array,
  column: number,
): void {
  let i = 0;
  for (; i + 3 < count; i += 4) {
    const c = column + i;
    target[to + i] = ((from[at + i]! ^ flip) - zero) * scales[c]!;
    target[to + i + 1] = ((from[at + i + 1]! ^ flip) - zero) * scales[c + 1]!;
    target[to + i + 2] = ((from[at + i + 2]! ^ flip) - zero) * scales[c + 2]!;
    target[to + i + 3] = ((from[at + i + 3]! ^ flip) - zero) * scales[c + 3]!;
  }
  for (; i < count; i++) {
    target[to + i] = ((from[at + i]! ^ flip) - zero) * scales[column + i]!;
  }
}

/** Like `scaleRow`, with a zero point for each number too. */
function shiftRow(
  from: Uint8Array,
  at: number,
  target: Float32Array,
  to: number,
  count: number,
  flip: number,
  zeros: Int32Array,
  scales: Float32Array,
  column: number,
): void {
  for (let i = 0; i < count; i++) {
    target[to + i] = ((from[at + i]! ^ flip) - zeros[column + i]!) * scales[column + i]!;
  }
}

function scaleNibbles(
  from: Uint8Array,
  at: number,
  target: Float32Array,
  to: number,
  count: number,
  zero: number,
  scale: number,
): void {
  let i = 0;
  for (; i + 3 < count; i += 4) {
    const first = from[at + (i >> 1)]!;
    const second = from[at + (i >> 1) + 1]!;
    target[to + i] = ((first & 15) - zero) * scale;
    target[to + i + 1] = ((first >> 4) - zero) * scale;
    target[to + i + 2] = ((second & 15) - zero) * scale;
    target[to + i + 3] = ((second >> 4) - zero) * scale;
  }
  for (; i < count; i++) {
    target[to + i] = (((from[at + (i >> 1)]! >> ((i & 1) << 2)) & 15) - zero) * scale;
  }
}

/** Expand four transposed columns, `columnBytes` apart in `from`: four numbers side by side in each of `count` rows. */
function scaleByteColumns(
  from: Uint8Array,
  at: number,
  columnBytes: number,
  target: Float32Array,
  to: number,
  columns: number,
  count: number,
  zeros: Int32Array,
  scales: Float32Array,
): void {
  const [zero0, zero1, zero2, zero3] = [zeros[0]!, zeros[1]!, zeros[2]!, zeros[3]!];
  const [scale0, scale1, scale2, scale3] = [scales[0]!, scales[1]!, scales[2]!, scales[3]!];
  const [at1, at2, at3] = [at + columnBytes, at + 2 * columnBytes, at + 3 * columnBytes];
  for (let i = 0, place = to; i < count; i++, place += columns) {
    target[place] = (from[at + i]! - zero0) * scale0;
    target[place + 1] = (from[at1 + i]! - zero1) * scale1;
    target[place + 2] = (from[at2 + i]! - zero2) * scale2;
    target[place + 3] = (from[at3 + i]! - zero3) * scale3;
  }
}

function scaleNibbleColumns(
  from: Uint8Array,
  at: number,
  columnBytes: number,
  target: Float32Array,
  to: number,
  columns: number,
  count: number,
  zeros: Int32Array,
  scales: Float32Array,
): void {
  const [zero0, zero1, zero2, zero3] = [zeros[0]!, zeros[1]!, zeros[2]!, zeros[3]!];
  const [scale0, scale1, scale2, scale3] = [scales[0]!, scales[1]!, scales[2]!, scales[3]!];
  const [at1, at2, at3] = [at + columnBytes, at + 2 * columnBytes, at + 3 * columnBytes];
  for (let i = 0, place = to; i < count; i++, place += columns) {
    const shift = (i & 1) << 2;
    const byte = i >> 1;
    target[place] = (((from[at + byte]! >> shift) & 15) - zero0) * scale0;
    target[place + 1] = (((from[at1 + byte]! >> shift) & 15) - zero1) * scale1;
    target[place + 2] = (((from[at2 + byte]! >> shift) & 15) - zero2) * scale2;
    target[place + 3] = (((from[at3 + byte]! >> shift) & 15) - zero3) * scale3;
  }
}

/** Expand one column: one of those left where the number of columns is no multiple of four. */
function scaleColumn(
  from: Uint8Array,
  at: number,
  target: Float32Array,
  to: number,
  columns: number,
  count: number,
  bits: 4 | 8,
  zero: number,
  scale: number,
): void {
  for (let i = 0, place = to; i < count; i++, place += columns) {
    const value = bits === 8 ? from[at + i]! : (from[at + (i >> 1)]! >> ((i & 1) << 2)) & 15;
    target[place] = (value - zero) * scale;
  }
}
