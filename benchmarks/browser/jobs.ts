// What the page asks of a worker, and what it answers. Asking is measure.ts, answering a worker for each library.
import type { Expansion, ModelShape } from '../../apps/web/src/contract/generated';

interface Counts {
  /** Tokens of the prompt. */
  readonly tokens: number;
  readonly threads: number;
  /** How often the prompt is run, with all logits and with the last alone together. */
  readonly prompts: number;
  readonly steps: number;
}

/** One variant of a bundle below /files/. */
export interface VariantJob extends Counts {
  readonly library: 'oriel';
  readonly folder: string;
  readonly graph: string;
  readonly weights: readonly string[];
  readonly expansion: Expansion | null;
  readonly shape: ModelShape;
  /** Whether the first prompt of all asks for the last position's logits alone. */
  readonly lastFirst: boolean;
}

/** A model as transformers.js finds one, below /files/. */
export interface PeerJob extends Counts {
  readonly library: 'transformers.js';
  /** Folder of packages. */
  readonly packages: string;
  readonly models: string;
  readonly model: string;
  readonly dtype: string;
  /** What opening fetches, relative to the model's folder. */
  readonly files: readonly string[];
  readonly vocab: number;
}

export type Job = VariantJob | PeerJob;

/** Milliseconds; of what ran more than once, each in turn. */
export interface Timings {
  readonly expand: number | null;
  readonly session: number;
  /** The prompt, all positions' logits. */
  readonly all: readonly number[];
  /** The prompt, the last position's logits alone; null where the library always computes all. */
  readonly last: readonly number[] | null;
  /** Whether the session's first run was the first of `last`, and not of `all`. */
  readonly lastFirst: boolean;
  /** One token after the prompt, from the prompt's cache. */
  readonly step: readonly number[];
  /** The prompt and that token, from nothing: the last position's logits alone where that can be asked. */
  readonly recompute: readonly number[];
}

export interface Answer {
  readonly timings: Timings;
  /** Logits of the token after the prompt, from the cache and from nothing: they must agree. */
  readonly stepLogits: readonly number[];
  readonly recomputeLogits: readonly number[];
}

/** Ids in 1 … vocab - 1 that look like no pattern. */
export function tokenIds(count: number, vocab: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 + ((index * 7919) % (vocab - 1)));
}
