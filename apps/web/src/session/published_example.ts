// Turns a publisher's precomputed example into an answer for the views. model_session.svelte.ts decides when to use it.
import { noInterventions } from '../inference/interventions';
import { logitLens } from '../inference/lens_names';
import type { FirstPass, ViewedModel } from '../inference/model_types';
import { mergeRun } from '../activations/activation_set';
import type { Answer } from './answer';
import { tokensOf } from './token';

export interface Example {
  /** The model with the variant that computed it, which need not be the one being opened. */
  readonly model: ViewedModel;
  readonly answer: Answer;
  /** The text of the example, which must stand beside it. */
  readonly prompt: string;
  readonly runtime: string;
}

export function exampleOf(pass: FirstPass): Example | null {
  const { manifest, variant, prompt, runtime, result } = pass;
  const activations = mergeRun(null, result);
  if (activations === null) return null;
  const pieces = new Map(pass.pieces.map((piece) => [piece.id, piece]));
  const hasTokenizer = manifest.tokenizer !== undefined;
  return {
    model: {
      manifest,
      variant,
      hasTokenizer,
      activations: ['logits', ...activations.names],
      // The plain graph knows no other.
      lens: logitLens,
    },
    answer: {
      tokens: tokensOf(result.ids, pieces, result.ids.length, []),
      activations,
      interventions: noInterventions,
      untouchedLogits: null,
      untouched: null,
      pieces,
    },
    prompt,
    runtime,
  };
}
