// A cache within a budget of bytes: the least recently used values go first.

interface Entry<Value> {
  readonly value: Value;
  readonly bytes: number;
}

export interface CacheOptions<Value> {
  readonly maxBytes: number;
  /** Key of a value that stays as long as any does; null for none. */
  readonly pinned: string | null;
  /** Called with each value that leaves the cache. */
  readonly release?: (value: Value) => void;
}

export class BudgetedCache<Value> {
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #options: CacheOptions<Value>;

  constructor(options: CacheOptions<Value>) {
    this.#options = options;
  }

  /** Return the value, which then counts as just used; null where there is none. */
  get(key: string): Value | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /**
   * Take the value in place of the key's earlier one, then remove others until the rest fits. The newest and the pinned
   * one stay even where these two alone are over the budget: the next token continues the one and is compared with the
   * other.
   */
  set(key: string, value: Value, bytes: number): void {
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, { value, bytes });
    if (before !== undefined && before.value !== value) this.#options.release?.(before.value);
    let total = this.bytes;
    for (const [other, entry] of [...this.#entries]) {
      if (total <= this.#options.maxBytes) return;
      if (other === key || other === this.#options.pinned) continue;
      this.#entries.delete(other);
      total -= entry.bytes;
      this.#options.release?.(entry.value);
    }
  }

  /** List all values by their keys, the least recently used first. */
  all(): (readonly [string, Value])[] {
    return Array.from(this.#entries, ([key, { value }]) => [key, value] as const);
  }

  clear(): void {
    const values = [...this.#entries.values()];
    this.#entries.clear();
    for (const { value } of values) this.#options.release?.(value);
  }

  /** Bytes of all values. */
  get bytes(): number {
    return [...this.#entries.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
