// Expands encoded weights while they are read by range: only the rows that are asked for are ever in memory, and of the
// file that was downloaded only their part. expand_values.ts has the arithmetic.
import type { Expansion } from '../../contract/generated';
import type { ByteRanges } from './byte_ranges';
import { valuesExpander } from './expand_values';
import { roundToFloat16 } from './float16';
import { planWeight, rowsAround, type Extent, type WeightPlan } from './weight_plan';

/** Rows are expanded together up to about this many numbers: fewer would read the store more often. */
const windowNumbers = 2 ** 20;

/** Part of one weight, expanded. */
interface Window {
  /** Offset of its first byte in the expanded file. */
  readonly from: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const nothing: Window = { from: 0, bytes: new Uint8Array(0) };

/**
 * The expanded file. Results are exact: a float16 scale times a difference of bytes fits a float32, so
 * any reader that multiplies once gets the same bits. The check of the manifest ensures that every part
 * lies inside the files. Bytes between weights are 0.
 */
export class ExpandedRanges implements ByteRanges {
  readonly bytes: number;
  /** Milliseconds spent on expanding, reading included. */
  expandMs = 0;
  readonly #encoded: ByteRanges;
  readonly #itemBytes: 2 | 4;
  readonly #plans: readonly WeightPlan[];
  readonly #together: number;
  #window = nothing;

  /** `together`: about how many numbers are expanded at a time. */
  constructor(expansion: Expansion, encoded: ByteRanges, together = windowNumbers) {
    this.#together = together;
    this.bytes = expansion.bytes;
    this.#encoded = encoded;
    this.#itemBytes = expansion.dtype === 'float32' ? 4 : 2;
    this.#plans = expansion.weights.map(planWeight).sort((a, b) => a.at - b.at);
  }

  read(into: Uint8Array<ArrayBuffer>, at: number): void {
    const began = performance.now();
    const end = at + into.length;
    while (at < end) {
      const start = into.length - (end - at);
      const { from, bytes } = this.#windowAt(at);
      const isInside = at >= from && at < from + bytes.length;
      // In a gap, the window found is the next one.
      const stop = Math.min(end, isInside ? from + bytes.length : from > at ? from : end);
      if (isInside) into.set(bytes.subarray(at - from, stop - from), start);
      else into.fill(0, start, start + stop - at);
      at = stop;
    }
    this.expandMs += performance.now() - began;
  }

  /** Return the window that holds a byte; in a gap an empty one at the next weight's start. */
  #windowAt(at: number): Window {
    const { from, bytes } = this.#window;
    if (at >= from && at < from + bytes.length) return this.#window;
    const plan = this.#plans.find(({ at: start, count }) => at < start + count * this.#itemBytes);
    if (plan === undefined) return nothing;
    if (at < plan.at) return { from: plan.at, bytes: nothing.bytes };
    const number = Math.floor((at - plan.at) / this.#itemBytes);
    const { plan: rows, first } = rowsAround(plan, number, this.#together);
    // The one before is given up first.
    this.#window = nothing;
    this.#window = { from: plan.at + first * this.#itemBytes, bytes: this.#expanded(rows) };
    return this.#window;
  }

  #expanded(plan: WeightPlan): Uint8Array<ArrayBuffer> {
    const { own, encoded } = this.#parts(plan);
    const numbers = new Float32Array(plan.count);
    const { from, to } = own.values;
    valuesExpander(own, encoded, numbers).expand(encoded, from, 0, to - from);
    if (this.#itemBytes === 4) return new Uint8Array(numbers.buffer);
    const halves = new Uint16Array(plan.count);
    roundToFloat16(numbers, halves);
    return new Uint8Array(halves.buffer);
  }

  /** Read a plan's parts, one behind the other, and return it with their places there. */
  #parts(plan: WeightPlan): { own: WeightPlan; encoded: Uint8Array } {
    let size = 0;
    const reads: (readonly [Extent, number])[] = [];
    const place = (extent: Extent): Extent => {
      const from = size;
      reads.push([extent, from]);
      size = from + extent.to - extent.from;
      const placed = { from, to: size };
      // float16 is read two bytes at a time.
      size += size % 2;
      return placed;
    };
    const own =
      'scales' in plan
        ? {
            ...plan,
            scales: place(plan.scales),
            zeroPoints: plan.zeroPoints && place(plan.zeroPoints),
            values: place(plan.values),
          }
        : { ...plan, values: place(plan.values) };
    const encoded = new Uint8Array(size);
    for (const [{ from, to }, start] of reads)
      this.#encoded.read(encoded.subarray(start, start + to - from), from);
    return { own, encoded };
  }
}
