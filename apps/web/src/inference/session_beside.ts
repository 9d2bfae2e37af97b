// Decides whether a second session of a model can be created beside the open one. model_client.ts creates it in a worker
// of its own, model_runner.ts in the same.
import type { OpenedModel } from './model_types';
import { modelActivationNames } from '../contract/activation_table';
import { bytesOfActivations } from './activation_memory';
import { dictionaryBytes } from './dictionary_memory';
import { heapBytes, memoryLimit, readBytes } from './variant_fitness';

/**
 * Return whether this device has memory for a second session with these activations, and its weights can be read again.
 * False on WebGPU, where free memory is unknown, and for weights that are not in the browser's store. `tokens` is the
 * length of the text that is being answered.
 */
export function hasRoomBeside(
  model: OpenedModel,
  activations: readonly string[],
  tokens: number,
): boolean {
  const sizes = sizesOf(model, activations, tokens);
  return (
    sizes !== null && 2 * (sizes.weights + sizes.open) + sizes.more <= memoryLimit(model.device)
  );
}

/**
 * Return the same for a session in the open one's own runtime, which never gives memory back: the addresses of
 * WebAssembly must suffice for both, and the device for one more beside them.
 */
export function hasRoomForAnalysis(
  model: OpenedModel,
  activations: readonly string[],
  tokens: number,
): boolean {
  const sizes = sizesOf(model, activations, tokens);
  if (sizes === null) return false;
  const { weights, open, more } = sizes;
  return (
    2 * weights + open + more <= heapBytes &&
    3 * (weights + open) + more <= memoryLimit(model.device)
  );
}

/** Return the bytes of one session's weights, of the open activations and of these; null if they are unknown, or the
 * weights would have to be fetched again. */
function sizesOf(
  { manifest, variant, facts, offer, isKept, isBare, activations: names }: OpenedModel,
  activations: readonly string[],
  tokens: number,
): { readonly weights: number; readonly open: number; readonly more: number } | null {
  if (facts.provider !== 'wasm' || !isKept || isBare) return null;
  const offered = offer.variants.find(({ name }) => name === variant.name);
  if (offered === undefined) return null;
  return {
    // The offer counts the page's own copy of the weights; a stored model has none.
    weights: offered.on.wasm.memory - readBytes(manifest, variant),
    open: bytesOfActivations(variant, names, tokens),
    more:
      bytesOfActivations(variant, activations, tokens) +
      dictionaryBytes(manifest, variant, activations, tokens),
  };
}

/** List the activations that a session for the publisher's reference pass gives: all but the logits. */
export function proofActivations({ manifest }: OpenedModel): string[] {
  return modelActivationNames(manifest.model.shape).filter((name) => name !== 'logits');
}

/** Return whether both were created from the same files, so that one may replace the other. */
export function areOneModel(a: OpenedModel, b: OpenedModel): boolean {
  const filesOf = ({ manifest }: OpenedModel): string =>
    JSON.stringify(manifest.files.map(({ path, digest }) => [path, digest]));
  return a.variant.name === b.variant.name && filesOf(a) === filesOf(b);
}
