// Variants in words: why one was chosen, how faithful it is, why another won't work. The words are in the dictionaries.
import { isProvenExact, referenceOf, variantNamed } from '../inference/variant_offers';
import type {
  Choice,
  Offer,
  Provider,
  Refusal,
  Survey,
  VariantOffer,
  VariantReason,
} from '../inference/model_types';
import type { Dictionary } from './dictionary';
import { information, bytes, percent } from './number_format';

export function providerName(provider: Provider): string {
  return provider === 'webgpu' ? 'WebGPU' : 'WebAssembly';
}

/** Name a variant and its provider: "q8 on WebAssembly". */
export function placeText(
  { variant, provider }: { variant: string; provider: Provider },
  words: Dictionary,
): string {
  return words.variants.on(variant, providerName(provider));
}

/** Say in one sentence, with its figures, why this variant is opened here. */
export function choiceText(choice: Choice, offer: Offer, words: Dictionary): string {
  const { why } = words.variants;
  const chosen = variantNamed(offer, choice.variant);
  const reference = referenceOf(offer);
  const provider =
    choice.providerReason === 'requested'
      ? why.provider.requested(providerName(choice.provider))
      : why.provider[choice.providerReason];
  const variant = variantReason(choice.variantReason, words);
  const isVariantAsked = choice.variantReason.code === 'requested';
  const isPlaceAsked = choice.providerReason === 'requested';
  // The reader's own choice comes first: the rest follows from it.
  const reasons =
    isVariantAsked && isPlaceAsked
      ? [why.both]
      : isVariantAsked
        ? [variant, provider]
        : [provider, variant];
  if (chosen !== null && reference !== null && chosen.bytes < reference.bytes)
    reasons.push(why.instead(bytes(chosen.bytes), bytes(reference.bytes)));
  return words.variants.sentence(reasons);
}

function variantReason(reason: VariantReason, words: Dictionary): string {
  const { variant } = words.variants.why;
  return reason.code === 'small-model'
    ? variant['small-model'](bytes(reason.bytes))
    : variant[reason.code];
}

/** Describe the model for a newcomer: its size, and how close it is to the original. */
export function briefText(
  { model }: Survey['manifest'],
  variant: VariantOffer,
  words: Dictionary,
): string {
  const { bundled, other, faithful } = words.variants.brief;
  const { fidelity } = variant;
  return [
    model.source.kind === 'bundled'
      ? bundled(model.parameters)
      : other(model.name, model.parameters),
    isProvenExact(variant)
      ? faithful.exact
      : fidelity === null
        ? faithful.unmeasured
        : faithful.reduced(percent(fidelity.top1)),
  ].join(words.space);
}

/** Return the notes beside the variant's name: its measured distance from the original, or that it was not measured. */
export function fidelityText(variant: VariantOffer, words: Dictionary): readonly string[] {
  const { faithful } = words.variants;
  const { fidelity } = variant;
  if (fidelity === null) return [faithful.unmeasured];
  if (isProvenExact(variant)) return [faithful.exact(information(fidelity.kl_mean))];
  return [
    faithful.divergence(information(fidelity.kl_mean)),
    faithful.top1(percent(fidelity.top1)),
  ];
}

/** Describe a variant's numbers: "8-bit weights, computed in float32"; an unknown kind keeps its own name. */
export function compositionText(variant: VariantOffer, words: Dictionary): string {
  const weights: Readonly<Record<string, string>> = words.variants.weights;
  const kernels: Readonly<Record<string, string>> = words.variants.kernels;
  return [
    weights[variant.encoding] ?? variant.encoding,
    kernels[variant.kernels] ?? variant.kernels,
  ].join(words.comma);
}

export function refusalText(refusal: Refusal, words: Dictionary): string {
  const { refusals } = words.variants;
  if (refusal.code === 'no-kernels') return refusals['no-kernels'](refusal.kernels);
  if ('bytes' in refusal) return refusals[refusal.code](bytes(refusal.bytes), bytes(refusal.limit));
  return refusals[refusal.code];
}
