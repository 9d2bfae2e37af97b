// An answer: what a run said about one text, as the views read it.
import type { TokenPiece, ViewedModel } from '../inference/model_types';
import type { ActivationSet } from './activation_set';
import type { Token } from './token';

export type HeadRef = readonly [layer: number, head: number];

/** What the newest run said about one text. */
export interface Answer {
  tokens: readonly Token[];
  activations: ActivationSet;
  headsOff: readonly HeadRef[];
  /** Last logits of the same text with no head off; null while none is off, or while generating. */
  untouchedLogits: Float32Array | null;
  /** The bytes of every token that a view may name. */
  pieces: ReadonlyMap<number, TokenPiece>;
}

/** What the views show, and of what. */
export interface Shown {
  model: ViewedModel;
  answer: Answer;
  /** The model itself answered and can be asked; else it is what the publisher computed beforehand. */
  live: boolean;
}
