// Reads from an offer on which provider a variant would run and which variant is the reference. The engine chooses.
import type {
  Failure,
  Fitness,
  ModelErrorData,
  NextAttempt,
  Offer,
  Provider,
  VariantOffer,
} from './model_types';

/** Downloads above this many bytes are announced, with the choice of another variant, while they run. */
export const LARGE_DOWNLOAD = 50e6;

export interface Placement {
  provider: Provider;
  fitness: Fitness;
}

const OTHER: Record<Provider, Provider> = { webgpu: 'wasm', wasm: 'webgpu' };

/** Return whether a variant that is asked for by name may be tried: a refusal for memory rests on a guess. */
export function opensWhenAsked({ refusal }: Fitness): boolean {
  return refusal === null || refusal.code === 'memory';
}

/** Return the provider for a variant asked for by name. For `auto` that is `first`, unless only the other one works. */
export function placementOf(
  variant: VariantOffer,
  wanted: Provider | 'auto',
  first: Provider,
): Placement {
  const provider =
    wanted !== 'auto'
      ? wanted
      : !opensWhenAsked(variant.on[first]) && opensWhenAsked(variant.on[OTHER[first]])
        ? OTHER[first]
        : first;
  return { provider, fitness: variant.on[provider] };
}

/** Return the same, but another provider where the wanted one fails: for a second variant beside the open one. */
export function anyPlacementOf(
  variant: VariantOffer,
  wanted: Provider | 'auto',
  first: Provider,
): Placement {
  const placement = placementOf(variant, wanted, first);
  return opensWhenAsked(placement.fitness) ? placement : placementOf(variant, 'auto', first);
}

export function variantNamed(offer: Offer | null, name: string | undefined): VariantOffer | null {
  return offer?.variants.find((variant) => variant.name === name) ?? null;
}

/** Return the variant with the unchanged float32 weights, which the others are measured against. */
export function referenceOf(offer: Offer | null): VariantOffer | null {
  return offer?.variants.find((variant) => isUnchanged(variant)) ?? null;
}

function isUnchanged({ kernels, encoding }: VariantOffer): boolean {
  return kernels === 'fp32' && encoding === 'f32';
}

/** Return whether no weight was rounded and the answers were compared with PyTorch's. */
export function isProvenExact(variant: VariantOffer): boolean {
  const { fidelity, lossy } = variant;
  if (fidelity === null || lossy || !isUnchanged(variant)) return false;
  return fidelity.reference === 'pytorch' && fidelity.within_bounds;
}

/** Return the attempt that an error offers instead; null where it offers none. */
export function nextAttempt(error: ModelErrorData): NextAttempt | null {
  if (error.kind === 'variant-refused') return error.next;
  return failureOf(error)?.next ?? null;
}

/** Return the failure that an error reports; null where it reports none. */
export function failureOf(error: ModelErrorData): Failure | null {
  return error.kind === 'session' || error.kind === 'run' ? (error.failure ?? null) : null;
}
