// Maps of token on token made of heads' attention: one head, or the mean or the largest value of several at each cell.
import { MASKED_SCORE } from './attention_rows';

/** Returns a row of a map: how much a token attends to each token that it may see. */
export type MapRow = (query: number) => ArrayLike<number>;

/** Probabilities, raw scores, or probabilities weighted by the norms of the values. */
export type MapKind = 'attn_probs' | 'attn_scores' | 'weighted';

/** The ways in which several heads become one map; `head` shows one. */
export type MapOver = 'head' | 'mean' | 'max';

/** The way in which attention is shown. */
export interface AttentionShown {
  readonly kind: MapKind;
  readonly over: MapOver;
  /** The heads that are put together, as `readHeads` reads them; empty for all that are open. */
  readonly set: string;
  /** True where colours follow the logarithm. */
  readonly log: boolean;
}

export const PLAIN_ATTENTION: AttentionShown = {
  kind: 'attn_probs',
  over: 'head',
  set: '',
  log: false,
};

/** Puts maps together, one at a time, so that a caller can spread the work over frames. */
export class CombinedMap {
  readonly #tokens: number;
  readonly #over: 'mean' | 'max';
  readonly #keys: (query: number) => number;
  /** (tokens, tokens); a score that is hidden in one map is hidden in all. */
  readonly #values: Float64Array;
  #count = 0;

  /** `keys` returns how many of the first tokens a query may see; those up to itself by default. */
  constructor(
    tokens: number,
    over: 'mean' | 'max',
    keys: (query: number) => number = (query) => query + 1,
  ) {
    this.#tokens = tokens;
    this.#over = over;
    this.#keys = keys;
    this.#values = new Float64Array(tokens * tokens).fill(over === 'max' ? -Infinity : 0);
  }

  add(row: MapRow): void {
    this.#count++;
    for (let query = 0; query < this.#tokens; query++) {
      const values = row(query);
      const from = query * this.#tokens;
      for (let key = 0; key < this.#keys(query); key++) {
        const value = values[key] ?? 0;
        const held = this.#values[from + key] ?? 0;
        this.#values[from + key] = this.#over === 'max' ? Math.max(held, value) : held + value;
      }
    }
  }

  /** Return the map of those that were added; the object takes no more. */
  finish(): MapRow {
    const count = this.#over === 'mean' ? this.#count : 1;
    const rows = Array.from({ length: this.#tokens }, (_, query) => {
      const from = query * this.#tokens;
      return Float32Array.from(this.#values.subarray(from, from + this.#keys(query)), (sum) =>
        // A sum with a masked score is far below every sum of scores.
        sum <= MASKED_SCORE ? sum : sum / count,
      );
    });
    return (query) => rows[query] ?? [];
  }
}
