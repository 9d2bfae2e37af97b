// A cache of the keys and values of earlier runs, looked up by their tokens, and the inputs of a run
// that continues one.
import type * as Ort from 'onnxruntime-web';
import type { Tensor } from 'onnxruntime-web';
import { BudgetedCache } from './budgeted_cache';
import { neutralKey } from './interventions';

/** A run's `present.*`, under the names of the inputs that take them next. */
export type CacheTensors = ReadonlyMap<string, Tensor>;

/** One run for each key of interventions, since they change every later key and value. */
interface Entry {
  readonly ids: readonly number[];
  readonly tensors: CacheTensors;
}

export interface CacheHit {
  /** Tokens that need not be fed again. */
  readonly length: number;
  readonly tensors: CacheTensors;
}

/** Two whole texts of GPT-2 small, (12 layers, 2, 768, 1024) each. Shorter texts leave room for more interventions. */
const defaultMaxBytes = 144 * 2 ** 20;

const bytesPerNumber = 4;

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
  readonly #entries: BudgetedCache<Entry>;

  constructor(maxBytes = defaultMaxBytes) {
    this.#entries = new BudgetedCache({
      maxBytes,
      // Every run with interventions is compared with the one without.
      pinned: neutralKey,
      release: ({ tensors }) => {
        disposeAll(tensors.values());
      },
    });
  }

  /** Find the cached prefix of `ids`, never all of them: the last token is always fed, since a run gives its logits. */
  find(ids: readonly number[], interventions: string): CacheHit | null {
    const entry = this.#entries.get(interventions);
    if (entry === null) return null;
    const length = Math.min(commonPrefixLength(entry.ids, ids), ids.length - 1);
    return length === 0 ? null : { length, tensors: entry.tensors };
  }

  /** Take over the tensors, and free the memory of those that they replace or that no longer fit. */
  store(ids: readonly number[], interventions: string, tensors: CacheTensors): void {
    const numbers = [...tensors.values()].reduce((sum, { size }) => sum + size, 0);
    this.#entries.set(interventions, { ids, tensors }, numbers * bytesPerNumber);
  }

  /** Copy all tensors into the page's own memory: those of a GPU end with the session that gave them. */
  async copyToMemory(ort: typeof Ort): Promise<void> {
    for (const [key, { ids, tensors }] of this.#entries.all()) {
      const copies = new Map<string, Tensor>();
      for (const [name, tensor] of tensors)
        copies.set(
          name,
          new ort.Tensor('float32', (await tensor.getData()) as Float32Array, tensor.dims),
        );
      this.store(ids, key, copies);
    }
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** Free the memory of tensors, which on a GPU nothing else does. */
export function disposeAll(tensors: Iterable<Tensor>): void {
  for (const tensor of tensors) tensor.dispose();
}

/**
 * Return cached keys and values, cut to the tokens that the new sequence shares with the old one; a fixed cache is fed
 * whole, since the mask hides what lies behind them.
 */
export async function cacheFeeds(
  ort: typeof Ort,
  { length, tensors }: CacheHit,
  isFixed: boolean,
): Promise<Record<string, Ort.Tensor>> {
  const feeds: Record<string, Ort.Tensor> = {};
  for (const [name, tensor] of tensors) {
    const [batch = 1, heads = 0, past = 0, width = 0] = tensor.dims;
    feeds[name] =
      past === length || isFixed
        ? tensor
        : new ort.Tensor(
            'float32',
            truncatePositions((await tensor.getData()) as Float32Array, tensor.dims, length),
            [batch, heads, length, width],
          );
  }
  return feeds;
}
