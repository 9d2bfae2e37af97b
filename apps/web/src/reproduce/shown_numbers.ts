// The numbers on the screen that a script can compute again: which of the model they are, and their values.
import type { LensMeasure } from '../analysis/lens_measures';
import type { HeadRef } from '../inference/interventions';

/** Probabilities of next tokens, after the last token of the text. */
export interface ShownNext {
  readonly thing: 'next';
  readonly ids: readonly number[];
  readonly values: readonly number[];
}

/** A row of an attention map: from a token to the tokens up to it. */
export interface ShownAttention {
  readonly thing: 'attention';
  readonly kind: 'attn_probs' | 'attn_scores';
  readonly head: HeadRef;
  readonly query: number;
  readonly values: readonly number[];
}

/** The likeliest tokens that a lens reads from a layer at a token. */
export interface ShownLens {
  readonly thing: 'lens';
  /** Null for the logit lens; else a pack's file name and kind. */
  readonly pack: { readonly file: string; readonly kind: 'tuned' | 'jacobian' } | null;
  readonly layer: number;
  readonly position: number;
  readonly ids: readonly number[];
  readonly values: readonly number[];
}

/** A measure of what a layer predicts at a token, or of its residual stream. */
export interface ShownLayer {
  readonly thing: 'layer';
  /** As in ShownLens. */
  readonly pack: ShownLens['pack'];
  readonly measure: LensMeasure;
  readonly layer: number;
  readonly position: number;
  /** The token whose rank or probability it is; null for other measures. */
  readonly token: number | null;
  /** The one value. */
  readonly values: readonly [number];
}

/** Some values of an activation's vector at a token, heads one after another, and the length of the whole vector. */
export interface ShownActivation {
  readonly thing: 'activation';
  /** Contract name. */
  readonly name: string;
  readonly position: number;
  readonly indices: readonly number[];
  readonly values: readonly number[];
  readonly norm: number;
}

/** A neuron at a token: its activation, the norm of its row, and its effect on the logits of some tokens, for a = 1. */
export interface ShownNeuron {
  readonly thing: 'neuron';
  readonly layer: number;
  readonly neuron: number;
  readonly position: number;
  readonly ids: readonly number[];
  /** Activation, norm, then an effect for each of `ids`. */
  readonly values: readonly number[];
}

/** A part of the model, as attribution names it. */
export type Part =
  | { readonly part: 'embedding' }
  | { readonly part: 'bias' }
  | { readonly part: 'attention_rest'; readonly layer: number }
  | { readonly part: 'mlp'; readonly layer: number }
  | { readonly part: 'head'; readonly layer: number; readonly head: number };

/** Shares of a token's logit at a position, less that of another token where there is one. */
export interface ShownAttribution {
  readonly thing: 'attribution';
  readonly answer: number;
  readonly other: number | null;
  readonly position: number;
  readonly parts: readonly Part[];
  readonly values: readonly number[];
}

export type ShownNumbers =
  | ShownNext
  | ShownAttention
  | ShownLens
  | ShownLayer
  | ShownActivation
  | ShownNeuron
  | ShownAttribution;
