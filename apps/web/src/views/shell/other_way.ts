// The ways on from an error that the page can offer as a button.
import type { ModelErrorData } from '../../inference/model_types';

export type OtherWay = 'same' | 'wasm' | 'own-choice' | 'exported-activations';

/** Null where trying the same again is all there is. */
export function otherWayOn(error: ModelErrorData): Exclude<OtherWay, 'same'> | null {
  const isPlace = error.kind === 'provider-unavailable' || error.kind === 'no-variant-fits';
  if (isPlace && error.provider === 'webgpu') return 'wasm';
  if (error.kind === 'unknown-variant') return 'own-choice';
  if (error.kind === 'unknown-activation') return 'exported-activations';
  return null;
}
