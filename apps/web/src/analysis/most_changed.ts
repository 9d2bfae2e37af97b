// The tokens whose logits one neuron or feature changes most.
import { largest } from './probabilities';

const LISTED = 10;

export interface MostChanged {
  /** Ids of the tokens that it raises most, and of those that it lowers most. */
  readonly up: readonly number[];
  readonly down: readonly number[];
}

/** Return the ids at both ends of effects on the logits, (vocab). */
export function mostChanged(effects: Float32Array): MostChanged {
  const lowered = effects.map((effect) => -effect);
  return { up: largest(effects, LISTED), down: largest(lowered, LISTED) };
}
