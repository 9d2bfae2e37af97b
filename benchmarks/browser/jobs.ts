// Messages from the page to a worker, and back. measure.ts asks; each library has a worker that answers.
import type { Expansion, ModelShape } from '../../apps/web/src/contract/generated';

interface Counts {
  /** Tokens of the prompt. */
  readonly tokens: number;
  readonly threads: number;
  /** Number of runs of the prompt, those with all logits and those with the last alone together. */
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
  /** True if the very first run asks for the last position's logits alone. */
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
  /** Files that opening the model fetches, relative to its folder. */
  readonly files: readonly string[];
  readonly vocab: number;
}

export type Job = VariantJob | PeerJob;

/** Milliseconds; for steps that ran more than once, one for each run, in order. */
export interface Timings {
  readonly expand: number | null;
  readonly session: number;
  /** The prompt, all positions' logits. */
  readonly all: readonly number[];
  /** The prompt, the last position's logits alone; null where the library always computes all. */
  readonly last: readonly number[] | null;
  /** True if the session's first run was the first of `last`, and not of `all`. */
  readonly lastFirst: boolean;
  /** One token after the prompt, from the prompt's cache. */
  readonly step: readonly number[];
  /** The prompt and that token, without a cache: the last position's logits alone where possible. */
  readonly recompute: readonly number[];
}

export interface Answer {
  readonly timings: Timings;
  /** Logits of the token after the prompt, with and without the cache: they must agree. */
  readonly stepLogits: readonly number[];
  readonly recomputeLogits: readonly number[];
}

/** Return ids in 1 … vocab - 1 without an obvious pattern. */
export function tokenIds(count: number, vocab: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 + ((index * 7919) % (vocab - 1)));
}
