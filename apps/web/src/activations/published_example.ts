// What a publisher computed beforehand, as the views take an answer. When it may be shown: model_session.svelte.ts.
import type { FirstPass, ViewedModel } from '../inference/model_types';
import { mergeRun } from './activation_set';
import type { Answer } from './answer';
import { tokensOf } from './token';

export interface Example {
  /** With the variant that computed it, which need not be the one being opened. */
  readonly model: ViewedModel;
  readonly answer: Answer;
  /** The text that it is of, and that must stand beside it. */
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
    model: { manifest, variant, hasTokenizer, activations: ['logits', ...activations.names] },
    answer: {
      tokens: tokensOf(result.ids, pieces, result.ids.length, []),
      activations,
      headsOff: [],
      untouchedLogits: null,
      pieces,
    },
    prompt,
    runtime,
  };
}
