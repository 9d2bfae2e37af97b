// A cache of the keys and values of earlier runs, looked up by their tokens. model_runner.ts feeds them.
import type { Tensor } from 'onnxruntime-web';

/** A run's `present.*`, under the names of the inputs that take them next. */
export type CacheTensors = ReadonlyMap<string, Tensor>;

interface Entry {
  readonly ids: readonly number[];
  /** Their key: interventions change every later key and value, so their runs have caches of their own. */
  readonly interventions: string;
  readonly tensors: CacheTensors;
}

export interface CacheHit {
  /** Tokens that need not be fed again. */
  readonly length: number;
  readonly tensors: CacheTensors;
}

/** An untouched run and one with heads off, so that comparing the two does not empty the cache each time. */
const maxEntries = 2;

export function commonPrefixLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}

/** Return the first `length` positions of a row-major [batch, heads, past, width] tensor's data. */
export function truncatePositions(
  data: Float32Array,
  dims: readonly number[],
  length: number,
): Float32Array {
  const [batch = 0, heads = 0, past = 0, width = 0] = dims;
  const result = new Float32Array(batch * heads * length * width);
  for (let row = 0; row < batch * heads; row++) {
    const start = row * past * width;
    result.set(data.subarray(start, start + length * width), row * length * width);
  }
  return result;
}

export class KeyValueCache {
  /** The newest last. */
  #entries: Entry[] = [];

  /** Find the cached prefix of `ids`, never all of them: the last token is always fed, since a run gives its logits. */
  find(ids: readonly number[], interventions: string): CacheHit | null {
    const entry = this.#entries.find((candidate) => candidate.interventions === interventions);
    if (entry === undefined) return null;
    const length = Math.min(commonPrefixLength(entry.ids, ids), ids.length - 1);
    return length === 0 ? null : { length, tensors: entry.tensors };
  }

  /** Take over the tensors, and free the memory of those that they replace. */
  store(ids: readonly number[], interventions: string, tensors: CacheTensors): void {
    const kept = this.#entries.filter((entry) => entry.interventions !== interventions);
    const next = [...kept.slice(-(maxEntries - 1)), { ids, interventions, tensors }];
    for (const entry of this.#entries) if (!next.includes(entry)) dispose(entry);
    this.#entries = next;
  }

  clear(): void {
    this.#entries.forEach(dispose);
    this.#entries = [];
  }
}

function dispose({ tensors }: Entry): void {
  for (const tensor of tensors.values()) tensor.dispose();
}
