// A closing at the joint of one layer, with its tensors. joint_edits.ts makes those of a run; graph_protocols.ts feeds them.
import type { ActivationKind, ClosingName } from '../contract/generated';

/** Row-major; Uint8Array for `bool`. */
export interface ClosingTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint8Array;
}

/** A closing of one joint; those of one joint apply in their order. */
export interface JointEdit {
  readonly joint: ActivationKind;
  readonly layer: number;
  readonly closing: ClosingName;
  /** By the names of the closing's inputs, fitted to the tokens of a run: each dimension is 1 or the joint's. */
  readonly tensors: Readonly<Record<string, ClosingTensor>>;
}

/** The numbers `start` … `end` - 1. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The positions of the tokens that a run feeds; those before are in the cache. */
export interface FedSpan extends Span {
  /** More tokens may come: an edit may name a position behind the last. */
  readonly goesOn?: boolean;
  /** Number of tokens of each text of a batch, where the longest has `end`; absent for one text. */
  readonly lengths?: readonly number[];
}

/** Return how many tokens each text of a run has so far. */
export function lengthsOf({ end, lengths }: FedSpan): readonly number[] {
  return lengths ?? [end];
}

/** Return whether all texts of a run have the same number of tokens, so that there is no padding. */
export function isEven(fed: FedSpan): boolean {
  return lengthsOf(fed).every((length) => length === fed.end);
}
