// Expands an encoded weights file into the float file that graphs read, as far as it has arrived. The inner loops are
// in expand_values.ts, the positions of parts in weight_plan.ts. It is our own code because the runtime could dequantize
// only inside a graph of its own, after the last byte; here the fp32 graph is used, and expanding ends with the download.
import type { Expansion } from '../../contract/generated';
import { valuesExpander, type ValuesExpander } from './expand_values';
import { roundToFloat16 } from './float16';
import { planWeight, type WeightPlan } from './weight_plan';

interface PartialWeight {
  readonly plan: WeightPlan;
  /** Array that receives the numbers: part of the expanded file, or a buffer still to be rounded to float16. */
  readonly target: Float32Array;
  readonly expander: ValuesExpander;
  /** Number of bytes of values that are expanded. */
  done: number;
}

/**
 * Expands a weights file while it arrives. Results are exact: a float16 scale times a difference of
 * bytes fits a float32, so any reader that multiplies once gets the same bits. The check of the
 * manifest ensures that every part lies inside the files and that scales come before their values.
 */
export class WeightExpander {
  /** The expanded file, complete once `advance` was told of all bytes. */
  readonly expanded: Uint8Array<ArrayBuffer>;
  readonly #encoded: Uint8Array;
  readonly #dtype: Expansion['dtype'];
  readonly #plans: readonly WeightPlan[];
  #next = 0;
  #underWay: PartialWeight | null = null;

  /** `encoded` is the weights file, filled from its start on; `expanded` must be 0 everywhere. */
  constructor(expansion: Expansion, encoded: Uint8Array, expanded: Uint8Array<ArrayBuffer>) {
    this.expanded = expanded;
    this.#encoded = encoded;
    this.#dtype = expansion.dtype;
    this.#plans = expansion.weights.map(planWeight);
  }

  /** Expand all that the first `received` bytes of the weights file allow. */
  advance(received: number): void {
    for (;;) {
      const weight = (this.#underWay ??= this.#begin(received));
      if (weight === null) return;
      const { from, to } = weight.plan.values;
      const { unit } = weight.expander;
      const here = Math.min(received, to) - from;
      // The last unit of a weight may be shorter than the others.
      const ready = received >= to ? to - from : here - (here % unit);
      if (ready > weight.done) {
        weight.expander.expand(this.#encoded, from + weight.done, weight.done, ready - weight.done);
        weight.done = ready;
      }
      if (received < to) return;
      this.#finish(weight);
      this.#underWay = null;
    }
  }

  #begin(received: number): PartialWeight | null {
    const plan = this.#plans[this.#next];
    if (plan === undefined || received < plan.values.from) return null;
    this.#next++;
    const target =
      this.#dtype === 'float32'
        ? new Float32Array(this.expanded.buffer, this.expanded.byteOffset + plan.at, plan.count)
        : new Float32Array(plan.count);
    return { plan, target, expander: valuesExpander(plan, this.#encoded, target), done: 0 };
  }

  #finish({ plan, target }: PartialWeight): void {
    if (this.#dtype === 'float32') return;
    const at = this.expanded.byteOffset + plan.at;
    roundToFloat16(target, new Uint16Array(this.expanded.buffer, at, plan.count));
  }
}
