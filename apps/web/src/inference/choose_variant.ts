// Chooses the variant to open and its provider, gives the reasons, and finds the next attempt after a failure. Pure: it
// makes an offer from the manifest and the device's answers. The memory of each variant: variant_fitness.ts.
import type { Manifest } from '../contract/generated';
import { graphsOf } from '../contract/variant_graphs';
import { ModelError } from './model_error';
import type {
  Attempt,
  Choice,
  DeviceFacts,
  FailureCause,
  ModelErrorData,
  NextAttempt,
  Offer,
  OpenRequest,
  Provider,
  Refusal,
  VariantOffer,
  VariantReason,
} from './model_types';
import { chooseForModel, chooseWithoutModel, type ProviderChoice } from './provider';
import { memoryLimit, offerOfVariant, readBytes } from './variant_fitness';

/** Float32 weights smaller than this are opened as they are: a smaller, rounded variant would save too little. */
export const smallWeightsBytes = 16 * 2 ** 20;

export type Wish = Pick<OpenRequest, 'variant' | 'provider'> & {
  /** The graph that the address named; null where it named none. */
  readonly graphName: string | null;
};

/**
 * Kernels and encodings, the best first. wasm: float32, then int8, which is smaller and faster but rounds activations;
 * static ranges before those of each run, which depend on how a text is fed; block kernels are several times slower
 * there. WebGPU: whatever reads the fewest bytes a step.
 */
const preferences: Record<Provider, readonly (readonly [kernels: string, encoding: string])[]> = {
  wasm: [
    ['fp32', 'q8'],
    ['int8_static', 'q8'],
    ['int8', 'q8'],
    ['fp32', 'f16'],
    ['fp32', 'q4'],
    ['int4', 'q4'],
    ['fp32', 'f32'],
    ['fp16', 'f16'],
  ],
  webgpu: [
    ['fp16', 'f16'],
    ['int4', 'q4'],
    ['fp32', 'q8'],
    ['fp32', 'f16'],
    ['fp32', 'q4'],
    ['fp32', 'f32'],
  ],
};

export function makeOffer(manifest: Manifest, device: DeviceFacts, options: Wish): Offer {
  const variants = manifest.variants.map((variant) => offerOfVariant(manifest, variant, device));
  try {
    return { variants, choice: choose(manifest, variants, device, options), refused: null };
  } catch (error) {
    if (error instanceof ModelError) return { variants, choice: null, refused: error.data };
    throw error;
  }
}

/** Return the attempt to offer after `failed` broke down, none of those in `tried`; null where nothing is left. */
export function nextAttempt(
  offer: Offer,
  device: DeviceFacts,
  failed: Attempt & { readonly cause: FailureCause },
  tried: readonly Attempt[],
  kept: ReadonlySet<string> = new Set(),
): NextAttempt | null {
  const before = [failed, ...tried];
  const memory = offer.variants.find(({ name }) => name === failed.variant)?.on[failed.provider]
    .memory;
  const mayWork = (variant: VariantOffer, provider: Provider): boolean => {
    switch (failed.cause) {
      case 'no-f16':
        return provider !== failed.provider || variant.kernels !== 'fp16';
      case 'device-lost':
        return provider !== failed.provider;
      case 'out-of-memory':
        return variant.on[provider].memory < (memory ?? Infinity);
      case 'other':
        return true;
    }
  };
  for (const provider of [failed.provider, otherProvider(failed.provider)]) {
    if (provider === 'webgpu' && failed.provider === 'wasm' && device.software) continue;
    const preferred = byPreference(offer.variants, provider, device, false);
    const candidates =
      failed.cause === 'device-lost' ? keptFirst(preferred, offer, failed, kept) : preferred;
    for (const variant of candidates) {
      const attempt = { variant: variant.name, provider };
      const isNew = !before.some((other) => isSame(other, attempt));
      if (isNew && mayWork(variant, provider))
        return { ...attempt, ...(kept.has(variant.name) && { isKept: true }) };
    }
  }
  return null;
}

/**
 * Order the variants after the GPU was lost, which is no fault of the variant: cached ones come before downloads, and
 * among the cached the exact weights first, then the variant that was open, even if it is never chosen by default.
 */
function keptFirst(
  preferred: readonly VariantOffer[],
  { variants }: Offer,
  lost: Attempt,
  kept: ReadonlySet<string>,
): VariantOffer[] {
  const other = otherProvider(lost.provider);
  const same = variants.filter(
    ({ name, on }) => name === lost.variant && kept.has(name) && opensWhenAsked(on[other].refusal),
  );
  const rank = (variant: VariantOffer): number =>
    !kept.has(variant.name) ? 3 : isExact(variant) ? 0 : variant.name === lost.variant ? 1 : 2;
  return [...new Set([...preferred, ...same])].toSorted((a, b) => rank(a) - rank(b));
}

/** Choose a variant and a provider. Throws a ModelError with the reason where there is none. */
function choose(
  manifest: Manifest,
  variants: readonly VariantOffer[],
  device: DeviceFacts,
  options: Wish,
): Choice {
  const candidates = candidatesFor(manifest, variants, options);
  const first =
    chooseWithoutModel(options.provider, device) ?? chooseForModel(manifest.model.parameters);
  for (const { provider, reason } of placesToTry(first, device, options)) {
    const [best] =
      options.variant === undefined
        ? byPreference(candidates, provider, device, isSmall(manifest))
        : candidates.filter((variant) => opensWhenAsked(variant.on[provider].refusal));
    if (best !== undefined) {
      const variantReason = reasonFor(best, provider, manifest, variants, device, options);
      return { variant: best.name, provider, providerReason: reason, variantReason };
    }
  }
  throw new ModelError(whyNot(candidates, variants, first.provider, device, options));
}

/** Return the providers to try: the first one, and the other only where the request leaves the choice to the device. */
function placesToTry(
  first: ProviderChoice,
  device: DeviceFacts,
  { provider: wished }: Wish,
): ProviderChoice[] {
  const provider = otherProvider(first.provider);
  const usable = provider === 'wasm' || (device.adapter !== null && !device.software);
  return wished === 'auto' && usable ? [first, { provider, reason: 'no-variant-fits' }] : [first];
}

/** Return the variant asked for; else those whose graph the address named; else all. */
function candidatesFor(
  manifest: Manifest,
  variants: readonly VariantOffer[],
  { variant: name, graphName }: Wish,
): readonly VariantOffer[] {
  if (name !== undefined) {
    const named = variants.filter((variant) => variant.name === name);
    if (named.length > 0) return named;
    const known = variants.map((variant) => variant.name);
    throw new ModelError({ kind: 'unknown-variant', got: name, known });
  }
  const addressed = manifest.variants.filter((variant) =>
    graphsOf(variant).some(([, { path }]) => path === graphName),
  );
  return addressed.length === 0
    ? variants
    : variants.filter(({ name }) => addressed.some((variant) => variant.name === name));
}

/** Return the variants that work on a provider and may be chosen by default, the best first. */
function byPreference(
  variants: readonly VariantOffer[],
  provider: Provider,
  { saveData }: DeviceFacts,
  small: boolean,
): VariantOffer[] {
  const rank = ({ kernels, encoding }: VariantOffer): number => {
    if (small && kernels === 'fp32' && encoding === 'f32') return -1;
    const place = preferences[provider].findIndex(([k, e]) => k === kernels && e === encoding);
    return place < 0 ? preferences[provider].length : place;
  };
  return variants
    .filter(({ lossy, on }) => !lossy && on[provider].refusal === null)
    .toSorted(
      (a, b) =>
        Number(isTrusted(b)) - Number(isTrusted(a)) ||
        (saveData && !small ? a.bytes - b.bytes : 0) ||
        rank(a) - rank(b),
    );
}

/** Return whether a variant, being within its bounds, was measured, or has the float32 weights themselves. */
function isTrusted({ kernels, encoding, fidelity }: VariantOffer): boolean {
  return fidelity !== null || isExact({ kernels, encoding });
}

/** Return whether a variant has the float32 weights themselves. */
function isExact({ kernels, encoding }: Pick<VariantOffer, 'kernels' | 'encoding'>): boolean {
  return kernels === 'fp32' && encoding === 'f32';
}

/** Return whether a variant that is asked for by name may be tried: a refusal for memory rests on a guess. */
function opensWhenAsked(refusal: Refusal | null): boolean {
  return refusal === null || refusal.code === 'memory';
}

function isSmall(manifest: Manifest): boolean {
  return float32Bytes(manifest) < smallWeightsBytes;
}

/** Return the bytes of the weights as the float32 graph reads them. */
function float32Bytes(manifest: Manifest): number {
  const exact = manifest.variants.find(
    ({ kernels, precision }) => (kernels ?? precision) === 'fp32',
  );
  return exact === undefined ? manifest.model.parameters * 4 : readBytes(manifest, exact);
}

function reasonFor(
  { bytes, kernels, encoding, on }: VariantOffer,
  provider: Provider,
  manifest: Manifest,
  variants: readonly VariantOffer[],
  device: DeviceFacts,
  { variant, graphName }: Wish,
): VariantReason {
  if (variant !== undefined) return { code: 'requested' };
  if (variants.length === 1) return { code: 'only-one' };
  const { memory } = on[provider];
  if (isSmall(manifest) && kernels === 'fp32' && encoding === 'f32') {
    return { code: 'small-model', bytes: float32Bytes(manifest), limit: smallWeightsBytes };
  }
  const isAddressed = candidatesFor(manifest, variants, { provider, graphName }).length === 1;
  if (isAddressed) return { code: 'address' };
  if (device.saveData) return { code: 'save-data', bytes };
  if (provider === 'wasm' && kernels === 'fp32' && encoding !== 'f32') {
    return { code: 'expands-here', bytes, memory, limit: memoryLimit(device) };
  }
  if (provider === 'webgpu' && kernels === 'fp16') return { code: 'has-f16' };
  return { code: 'fits', bytes, memory };
}

function whyNot(
  candidates: readonly VariantOffer[],
  variants: readonly VariantOffer[],
  provider: Provider,
  device: DeviceFacts,
  { variant }: Wish,
): ModelErrorData {
  const [wanted] = candidates;
  const refusal = wanted?.on[provider].refusal;
  if (variant === undefined || wanted === undefined || !refusal) {
    const refusals = candidates.map(({ name, on }) => ({
      variant: name,
      refusal: on[provider].refusal,
    }));
    return { kind: 'no-variant-fits', provider, refusals };
  }
  const other = otherProvider(provider);
  const [here] = byPreference(variants, provider, device, false);
  const [there] = byPreference(variants, other, device, false);
  const next =
    here !== undefined
      ? { variant: here.name, provider }
      : opensWhenAsked(wanted.on[other].refusal)
        ? { variant, provider: other }
        : there !== undefined
          ? { variant: there.name, provider: other }
          : null;
  return { kind: 'variant-refused', variant, provider, refusal, next };
}

function otherProvider(provider: Provider): Provider {
  return provider === 'wasm' ? 'webgpu' : 'wasm';
}

function isSame(a: Attempt, b: Attempt): boolean {
  return a.variant === b.variant && a.provider === b.provider;
}
