// Expands encoded weights while they are read by range. Only the requested rows are in memory, and of the downloaded
// file only the bytes that encode them. expand_values.ts has the arithmetic.
import type { Expansion } from '../../contract/generated';
import type { ByteRanges } from './byte_ranges';
import { valuesExpander } from './expand_values';
import { roundToFloat16 } from './float16';
import { planWeight, rowsAround, type Extent, type WeightPlan } from './weight_plan';

/** Approximate number of values to expand at a time: smaller blocks would read the store more often. */
const windowNumbers = 2 ** 20;

/** An expanded block of one weight, kept because only part of it was requested. */
interface Window {
  /** Offset of its first byte in the expanded file. */
  readonly from: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const nothing: Window = { from: 0, bytes: new Uint8Array(0) };

/**
 * The expanded file. Expansion is exact: a float16 scale times a difference of bytes fits into a float32, so every
 * reader that multiplies once gets the same bits. Validation of the manifest ensures that all parts lie inside the
 * files. Bytes between weights are 0.
 */
export class ExpandedRanges implements ByteRanges {
  readonly bytes: number;
  /** Milliseconds spent on expanding, including reading. */
  expandMs = 0;
  readonly #encoded: ByteRanges;
  readonly #itemBytes: 2 | 4;
  readonly #plans: readonly WeightPlan[];
  readonly #together: number;
  #window = nothing;

  /** `together`: approximate number of values to expand at a time. */
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
    let place = at;
    while (place < end) {
      const left = into.subarray(place - at);
      const plan = this.#plans.find((plan) => place < plan.at + plan.count * this.#itemBytes);
      // The gap between weights, or the end of the file.
      const gap = plan === undefined ? left.length : Math.min(left.length, plan.at - place);
      if (plan === undefined || gap > 0) left.fill(0, 0, gap);
      place += gap > 0 || plan === undefined ? gap : this.#readWeight(plan, left, place);
    }
    this.expandMs += performance.now() - began;
  }

  /** Fill `into` from a byte offset inside the weight, for a block of rows; return the number of bytes written. */
  #readWeight(plan: WeightPlan, into: Uint8Array<ArrayBuffer>, at: number): number {
    const number = Math.floor((at - plan.at) / this.#itemBytes);
    const { plan: rows, first } = rowsAround(plan, number, this.#together);
    const from = plan.at + first * this.#itemBytes;
    const bytes = rows.count * this.#itemBytes;
    const isWhole = at === from && bytes <= into.length && into.byteOffset % 4 === 0;
    if (isWhole && this.#itemBytes === 4) {
      this.#expand(rows, new Float32Array(into.buffer, into.byteOffset, rows.count));
      return bytes;
    }
    if (this.#window.from !== from || this.#window.bytes.length !== bytes)
      this.#window = { from, bytes: this.#expanded(rows) };
    const part = this.#window.bytes.subarray(at - from, at - from + into.length);
    into.set(part);
    return part.length;
  }

  #expanded(plan: WeightPlan): Uint8Array<ArrayBuffer> {
    const numbers = new Float32Array(plan.count);
    this.#expand(plan, numbers);
    if (this.#itemBytes === 4) return new Uint8Array(numbers.buffer);
    const halves = new Uint16Array(plan.count);
    roundToFloat16(numbers, halves);
    return new Uint8Array(halves.buffer);
  }

  #expand(plan: WeightPlan, numbers: Float32Array): void {
    const { own, encoded } = this.#parts(plan);
    const { from, to } = own.values;
    valuesExpander(own, encoded, numbers).expand(encoded, from, 0, to - from);
  }

  /** Read a plan's parts into one buffer, one after the other, and return it with their offsets. */
  #parts(plan: WeightPlan): { own: WeightPlan; encoded: Uint8Array } {
    let size = 0;
    const reads: (readonly [Extent, number])[] = [];
    const place = (extent: Extent): Extent => {
      const from = size;
      reads.push([extent, from]);
      size = from + extent.to - extent.from;
      const placed = { from, to: size };
      // float16 values must start at an even offset.
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
