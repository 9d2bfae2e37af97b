// The model's results for one text, as the views read them.
import type { TokenPiece, ViewedModel } from '../inference/model_types';
import type { ActivationSet } from './activation_set';
import type { Token } from './token';

export type HeadRef = readonly [layer: number, head: number];

/** The results of the newest run of one text. */
export interface Answer {
  tokens: readonly Token[];
  activations: ActivationSet;
  headsOff: readonly HeadRef[];
  /** Last logits of the same text with no head off; null while none is off, or while generating. */
  untouchedLogits: Float32Array | null;
  /** The bytes of every token that a view may name. */
  pieces: ReadonlyMap<number, TokenPiece>;
}

/** The answer that the views show, and its model. */
export interface Shown {
  model: ViewedModel;
  answer: Answer;
  /** True where the open model itself answered and can be asked; false for an answer that the publisher precomputed. */
  live: boolean;
}
