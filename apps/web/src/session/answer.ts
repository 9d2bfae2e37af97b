// The model's results for one text, as the views read them.
import { textKey, type Interventions } from '../inference/interventions';
import type { TokenPiece, ViewedModel } from '../inference/model_types';
import type { ActivationSet } from '../activations/activation_set';
import type { Token } from './token';

/** The results of the newest run of one text. */
export interface Answer {
  tokens: readonly Token[];
  activations: ActivationSet;
  interventions: Interventions;
  /** Last logits of the same text without interventions; null where there are none, or while generating. */
  untouchedLogits: Float32Array | null;
  /** The same text's activations without interventions; null as above. */
  untouched: ActivationSet | null;
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

/** Return what the model answers without the interventions; the same answer where there is none. */
export function baselineOf(answer: Answer): Answer {
  const { untouched } = answer;
  if (untouched === null) return answer;
  return {
    ...answer,
    activations: untouched,
    interventions: [],
    untouchedLogits: null,
    untouched: null,
  };
}

/** List all tokens that a lens reads from the layers, where it is open. */
export function* lensTokens(activations: ActivationSet): Generator<number> {
  for (const name of activations.names) {
    if (!name.endsWith('_lens_ids')) continue;
    const series = activations.get(name);
    if (series === null) continue;
    for (let position = 0; position < series.length; position++) yield* series.row(position);
  }
}

/** Return what tells an answer's text and edits: two answers to the same have the same, whatever else is open. */
export function runKey({ activations: { ids }, interventions }: Answer): string {
  return textKey(ids, interventions);
}
