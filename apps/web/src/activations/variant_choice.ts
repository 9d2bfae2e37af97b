// What the page reads out of an offer: where a variant would run, what it is measured against. The engine chooses.
import type {
  Failure,
  Fitness,
  ModelErrorData,
  NextAttempt,
  Offer,
  Provider,
  VariantOffer,
} from '../inference/model_types';

/** Downloads above this many bytes are worth a word, and a choice, while they run. */
export const LARGE_DOWNLOAD = 50e6;

export interface Placement {
  provider: Provider;
  fitness: Fitness;
}

const OTHER: Record<Provider, Provider> = { webgpu: 'wasm', wasm: 'webgpu' };

/** How much memory a page may take is a guess: whoever asks for a variant by name may try. */
export function opensWhenAsked({ refusal }: Fitness): boolean {
  return refusal === null || refusal.code === 'memory';
}

/** Where a variant is opened when asked for by name: where it must be, else on `first`, else wherever it works. */
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

/** The same, but elsewhere rather than nowhere: for a variant beside the one that was asked for there. */
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

/** The float32 weights as they are: what the others are smaller than. */
export function referenceOf(offer: Offer | null): VariantOffer | null {
  return offer?.variants.find((variant) => isUnchanged(variant)) ?? null;
}

function isUnchanged({ kernels, encoding }: VariantOffer): boolean {
  return kernels === 'fp32' && encoding === 'f32';
}

/** Nothing was rounded, and PyTorch has been asked whether the answers are its own. */
export function isProvenExact(variant: VariantOffer): boolean {
  const { fidelity, lossy } = variant;
  if (fidelity === null || lossy || !isUnchanged(variant)) return false;
  return fidelity.reference === 'pytorch' && fidelity.within_bounds;
}

/** What an error offers to open instead; null where it offers nothing. */
export function nextAttempt(error: ModelErrorData): NextAttempt | null {
  if (error.kind === 'variant-refused') return error.next;
  return failureOf(error)?.next ?? null;
}

/** What broke down, where an error tells. */
export function failureOf(error: ModelErrorData): Failure | null {
  return error.kind === 'session' || error.kind === 'run' ? (error.failure ?? null) : null;
}
