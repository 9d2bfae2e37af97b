// The numbers on the screen that a script can compute again: which of the model they are, and their values.
import type { ScoreName } from '../analysis/head_scores';
import type { HeadRef } from '../inference/interventions';

/** Probabilities of next tokens, after the last token of the text. */
export interface ShownNext {
  readonly thing: 'next';
  readonly ids: readonly number[];
  readonly values: readonly number[];
}

/** A row of an attention map: from a token to the tokens up to it, of one head or of several together. */
export interface ShownAttention {
  readonly thing: 'attention';
  readonly kind: 'attn_probs' | 'attn_scores';
  readonly head: HeadRef;
  /** Several heads together, in the place of the one; absent for one. */
  readonly over?: { readonly how: 'mean' | 'max'; readonly heads: readonly HeadRef[] };
  /** True for probabilities times the norms of the values, scaled so that the row sums to 1. */
  readonly weighted?: boolean;
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

/** Scores of attention heads on the whole text. */
export interface ShownHeadScores {
  readonly thing: 'head-scores';
  readonly scores: readonly ScoreName[];
  readonly heads: readonly HeadRef[];
  /** (heads, scores). */
  readonly values: readonly number[];
}

export type ShownNumbers =
  ShownNext | ShownAttention | ShownLens | ShownActivation | ShownAttribution | ShownHeadScores;
