// The ways on from an error that the page can offer as a button.
import type { ModelErrorData } from '../../inference/model_types';

export type OtherWay = 'same' | 'wasm' | 'own-choice' | 'exported-activations' | 'own-model';

/** Where no try will open what was asked for. */
const refusedSource = new Set<ModelErrorData['kind']>([
  'address-refused',
  'origin-refused',
  'not-a-model',
  'files-missing',
]);

/** Null where trying the same again is all there is. */
export function otherWayOn(error: ModelErrorData): Exclude<OtherWay, 'same'> | null {
  const isPlace = error.kind === 'provider-unavailable' || error.kind === 'no-variant-fits';
  if (isPlace && error.provider === 'webgpu') return 'wasm';
  if (error.kind === 'unknown-variant') return 'own-choice';
  if (error.kind === 'unknown-activation') return 'exported-activations';
  if (refusedSource.has(error.kind)) return 'own-model';
  return null;
}
