// Compares a run with a reference pass: computes the error of each activation, and finds the largest and the first that
// exceeds its bound. The same in Python: oriel/reference_pass/compare_pass.py. Pure functions.
import { parseActivationName } from '../contract/activation_table';
import type { ReferencePassRecord } from '../contract/generated';
import type { Tensor } from './model_types';

/** Error of one activation relative to the reference, and its bound. */
export interface Distance {
  readonly name: string;
  /** Infinity if the shape differs, a number is not finite, or a token is named twice. */
  readonly error: number;
  readonly bound: number;
}

export interface PassComparison {
  /** The activation with the largest error; if any exceed their bounds, the largest of those. */
  readonly worst: Distance;
  /** The first activation in computation order that exceeds its bound; null if none does. */
  readonly first: Distance | null;
  /** Number of activations compared. */
  readonly compared: number;
}

type Measure = ReferencePassRecord['measure'];

/**
 * Compare every activation of the reference with the run's. `want` is in computation order and not empty; `got` has the
 * logits of the last position only.
 */
export function comparePass(
  got: ReadonlyMap<string, Tensor>,
  want: readonly Tensor[],
  { measure, bounds }: Pick<ReferencePassRecord, 'measure' | 'bounds'>,
): PassComparison {
  const byName = new Map(want.map((tensor) => [tensor.name, tensor]));
  const distances = want.map((reference): Distance => {
    const { name } = reference;
    const kind = parseActivationName(name)?.kind ?? name;
    const bound = bounds[kind] ?? 0;
    const mine = got.get(name);
    if (mine === undefined || !sameShape(mine, reference)) return { name, error: Infinity, bound };
    if (kind === 'lens_ids') {
      const probs = byName.get(name.replace(/ids$/u, 'probs'));
      return { name, error: idsError(mine, reference, probs, measure), bound };
    }
    if (kind === 'expert_ids') {
      const probs = byName.get(name.replace(/expert_ids$/u, 'router_probs'));
      return { name, error: choiceError(mine, reference, probs, measure), bound };
    }
    if (!(reference.data instanceof Float32Array)) {
      return { name, error: sameNumbers(mine, reference) ? 0 : Infinity, bound };
    }
    return { name, error: floatsError(mine, reference, kind === 'attn_scores', measure), bound };
  });
  // Negated, so that NaN exceeds every bound.
  const departing = distances.filter(({ error, bound }) => !(error <= bound));
  const candidates = departing.length > 0 ? departing : distances;
  const worst = candidates.reduce((most, next) => (next.error > most.error ? next : most));
  return { worst, first: departing[0] ?? null, compared: distances.length };
}

function sameShape(mine: Tensor, reference: Tensor): boolean {
  return (
    mine.dims.length === reference.dims.length &&
    mine.dims.every((size, axis) => size === reference.dims[axis]) &&
    mine.data instanceof Float32Array === reference.data instanceof Float32Array
  );
}

function sameNumbers(mine: Tensor, reference: Tensor): boolean {
  return reference.data.every((value, index) => value === mine.data[index]);
}

/** The value of a masked attention score. */
const MASKED = -3.4028234663852886e38;

/** Return the relative error of floats. With `causal`, (…, seq, seq), only the keys count that a query sees: those up
 * to it, and none that the reference masks, such as before a window. */
function floatsError(mine: Tensor, reference: Tensor, causal: boolean, measure: Measure): number {
  const [rows = 1, columns = 1] = reference.dims.slice(-2);
  const sum = new ErrorSum(measure);
  for (const [index, want] of reference.data.entries()) {
    if (causal && index % columns > Math.floor(index / columns) % rows) continue;
    if (causal && Number(reference.data[index]) === MASKED) continue;
    const got = mine.data[index] ?? NaN;
    if (!Number.isFinite(got)) return Infinity;
    sum.add(got - want, want);
  }
  return sum.relative;
}

/**
 * Return by how much the named tokens are less likely, in the reference, than the tokens at the same ranks there. So
 * two tokens may swap ranks only if they are equally likely. A token that the reference does not list counts as the
 * last one that it lists.
 */
function idsError(
  mine: Tensor,
  reference: Tensor,
  probs: Tensor | undefined,
  measure: Measure,
): number {
  const count = reference.dims.at(-1) ?? 1;
  const sum = new ErrorSum(measure);
  let largest = 0;
  for (let start = 0; start < reference.data.length; start += count) {
    const named = Array.from(mine.data.slice(start, start + count));
    if (new Set(named).size < named.length) return Infinity;
    const listed = Array.from(reference.data.slice(start, start + count));
    for (const [rank, id] of named.entries()) {
      const found = listed.indexOf(id);
      const want = probs?.data[start + rank] ?? 0;
      const given = probs?.data[start + (found < 0 ? count - 1 : found)] ?? 0;
      sum.add(given - want, want);
      const gap = Math.abs(given - want);
      if (gap > 0) largest = Math.max(largest, gap / want);
    }
  }
  return measure === 'norm' ? sum.relative : largest;
}

/** Return by how much the chosen experts are less likely, by the reference's router, than those that the reference
 * chose. */
function choiceError(
  mine: Tensor,
  reference: Tensor,
  probs: Tensor | undefined,
  measure: Measure,
): number {
  const count = reference.dims.at(-1) ?? 1;
  const experts = probs?.dims.at(-1) ?? 0;
  const sum = new ErrorSum(measure);
  let largest = 0;
  for (let start = 0; start < reference.data.length; start += count) {
    const chosen = Array.from(mine.data.slice(start, start + count), Number);
    if (new Set(chosen).size < chosen.length) return Infinity;
    const row = (start / count) * experts;
    for (const [rank, id] of chosen.entries()) {
      if (!(id >= 0 && id < experts)) return Infinity;
      const given = Number(probs?.data[row + id]);
      const want = Number(probs?.data[row + Number(reference.data[start + rank])]);
      sum.add(given - want, want);
      const gap = Math.abs(given - want);
      if (gap > 0) largest = Math.max(largest, gap / want);
    }
  }
  return measure === 'norm' ? sum.relative : largest;
}

/** The sizes of a difference and of its reference, accumulated value by value. */
class ErrorSum {
  readonly #byNorm: boolean;
  #error = 0;
  #size = 0;

  constructor(measure: Measure) {
    this.#byNorm = measure === 'norm';
  }

  add(gap: number, want: number): void {
    this.#error = this.#byNorm ? this.#error + gap ** 2 : Math.max(this.#error, Math.abs(gap));
    this.#size = this.#byNorm ? this.#size + want ** 2 : Math.max(this.#size, Math.abs(want));
  }

  get relative(): number {
    if (this.#error === 0) return 0;
    const ratio = this.#error / this.#size;
    return this.#byNorm ? Math.sqrt(ratio) : ratio;
  }
}
