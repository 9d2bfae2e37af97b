// The numbers on the screen that a script can compute again: which of the model they are, and their values.
import type { ScoreName } from '../analysis/head_scores';
import type { LensMeasure } from '../analysis/lens_measures';
import type { DictionaryActivation, DictionaryDescription } from '../contract/generated';
import type { HeadRef } from '../inference/interventions';

/** Probabilities of next tokens, after the last token of the text, or of those at a position of it. */
export interface ShownNext {
  readonly thing: 'next';
  /** For a model that continues no text, the position that it predicts; absent for others. */
  readonly position?: number;
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

/** A feature of a dictionary at a token: its value, and its effect on the logits of some tokens, for a value of 1. */
export interface ShownFeature {
  readonly thing: 'feature';
  /** Name of the dictionary, and of its file. */
  readonly name: string;
  readonly file: string;
  readonly reads: DictionaryActivation;
  readonly writes: DictionaryActivation;
  readonly activation: DictionaryDescription['activation'];
  /** The number of features that topk keeps; null for others. */
  readonly k: number | null;
  readonly feature: number;
  readonly position: number;
  readonly ids: readonly number[];
  /** The value, then an effect for each of `ids`. */
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

/** Probabilities of the tokens at some positions, each after the tokens before it. */
export interface ShownSteps {
  readonly thing: 'steps';
  /** From 1 on. */
  readonly positions: readonly number[];
  readonly values: readonly number[];
}

/** Natural logarithms of the joint probabilities of continuations of the text. */
export interface ShownPaths {
  readonly thing: 'paths';
  readonly paths: readonly (readonly number[])[];
  readonly values: readonly number[];
}

/** The second run of a comparison: token ids, without edits. */
export interface OtherRun {
  readonly ids: readonly number[];
}

/** Positions of A and of B that face each other. */
export interface FacingTokens {
  readonly a: number;
  readonly b: number;
}

/** The differences of a run's numbers, A, from those of another, B. */
export interface ShownDifference {
  readonly thing: 'difference';
  readonly other: OtherRun;
  readonly what:
    /** KL both ways, then B − A of these tokens' probabilities; at: as `position` of ShownNext. */
    | {
        readonly of: 'prediction';
        readonly ids: readonly number[];
        readonly at?: FacingTokens;
      }
    /** B − A of a head's weights from one token to others. */
    | {
        readonly of: 'attention';
        readonly head: HeadRef;
        readonly query: FacingTokens;
        readonly keys: readonly FacingTokens[];
      }
    /** Differences of an activation's vectors. */
    | {
        readonly of: 'stream';
        readonly kind: 'resid_post' | 'attn_output' | 'mlp_output';
        readonly layer: number;
        readonly pairs: readonly FacingTokens[];
        readonly measure: 'norm' | 'cosine';
      }
    /** B − A of what the logit lens reads, for these tokens. */
    | {
        readonly of: 'lens';
        readonly layer: number;
        readonly cell: FacingTokens;
        readonly ids: readonly number[];
      };
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
  | ShownNext
  | ShownAttention
  | ShownLens
  | ShownLayer
  | ShownActivation
  | ShownNeuron
  | ShownFeature
  | ShownAttribution
  | ShownSteps
  | ShownPaths
  | ShownDifference
  | ShownHeadScores;
