// The actions that the page offers as buttons after an error. AttemptButton offers another variant.
import { opensWhenAsked, variantNamed } from '../../inference/variant_offers';
import type { ModelErrorData, Offer, Provider } from '../../inference/model_types';

/** `same` asks for the very same once more; each other one asks for something that did not just fail. */
export type OtherWay = 'same' | Provider | 'own-choice' | 'exported-activations' | 'own-model';

/** The request that ended in the error. */
export interface Asked {
  readonly provider: Provider | 'auto';
  /** Null where the device chooses. */
  readonly variant: string | null;
  /** Null where the manifest could not be read. */
  readonly offer: Offer | null;
  /** The model is the one that the page opens by itself. */
  readonly isOwnModel: boolean;
}

type Kinds = ReadonlySet<ModelErrorData['kind']>;

/** Errors for which no retry opens the requested source. */
const refusedSource: Kinds = new Set([
  'address-refused',
  'origin-refused',
  'unknown-model',
  'not-a-model',
  'files-missing',
]);

/** Errors that depend on the model, the device, the frame around the page and the choice alone, so that the same choice
 * fails again. */
const refusedChoice: Kinds = new Set([
  'variant-refused',
  'no-variant-fits',
  'unknown-variant',
  'unknown-activation',
  'unknown-lens',
  'unfit-lens',
  'unknown-dictionary',
  'unfit-dictionary',
  'sandboxed',
]);

/** Return whether the same request may succeed at another time. */
export function mayPass({ kind }: ModelErrorData): boolean {
  return !refusedChoice.has(kind) && !refusedSource.has(kind);
}

/** Return the ways on, in the order in which they are offered. */
export function waysOn(error: ModelErrorData, asked: Asked): OtherWay[] {
  const other = otherWayOn(error, asked);
  return [
    ...(other === null ? [] : [other]),
    ...(refusedChoice.has(error.kind) ? [] : ['same' as const]),
  ];
}

function otherWayOn(error: ModelErrorData, asked: Asked): OtherWay | null {
  if (error.kind === 'unknown-variant') return 'own-choice';
  if (error.kind === 'unknown-activation') return 'exported-activations';
  if (refusedSource.has(error.kind)) return asked.isOwnModel ? null : 'own-model';
  if (error.kind !== 'provider-unavailable' && error.kind !== 'no-variant-fits') return null;
  const other = error.provider === 'webgpu' ? 'wasm' : 'webgpu';
  // A device that made the choice itself has tried the other provider too.
  const wasTried = error.kind === 'no-variant-fits' && asked.provider === 'auto';
  if (!wasTried && opensOn(other, asked.variant, asked.offer)) return other;
  const isElsewhere = asked.variant !== null && opensOn(other, null, asked.offer);
  return isElsewhere && asked.provider !== 'auto' ? 'own-choice' : null;
}

/** Return whether the provider can open the variant, or for null any one. Before the manifest is read, WebAssembly is
 * assumed to work and a GPU is not. */
function opensOn(provider: Provider, variant: string | null, offer: Offer | null): boolean {
  if (offer === null) return provider === 'wasm';
  if (variant !== null) {
    const named = variantNamed(offer, variant);
    return named !== null && opensWhenAsked(named.on[provider]);
  }
  return offer.variants.some(({ lossy, on }) => !lossy && on[provider].refusal === null);
}
