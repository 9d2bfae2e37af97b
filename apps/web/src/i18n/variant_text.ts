// Variants in words: why this one, how faithful it is, why another will not work. The words are in the dictionaries.
import { isProvenExact, referenceOf, variantNamed } from '../activations/variant_choice';
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

/** "q8 on WebAssembly". */
export function placeText(
  { variant, provider }: { variant: string; provider: Provider },
  words: Dictionary,
): string {
  return words.variants.on(variant, providerName(provider));
}

/** Why this variant is opened here, in one sentence with its figures. */
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
  // What the reader asked for comes first: all else follows from it.
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

/** What a newcomer should know first: how large the model is, and how close to the original. */
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

/** What stands beside the variant's name: its measured distance from the original, or that there is no measure. */
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

/** "8-bit weights, computed in float32"; a kind that the page doesn't know keeps its own name. */
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
