// Decides whether a second session of a model can be created beside the open one. model_client.ts creates it.
import type { OpenedModel } from './model_types';
import { modelActivationNames } from '../contract/activation_table';
import { bytesOfActivations } from './activation_memory';
import { memoryLimit, readBytes } from './variant_fitness';

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
  const { manifest, variant, facts, device, offer, isKept, isBare } = model;
  if (facts.provider !== 'wasm' || !isKept || isBare) return false;
  const offered = offer.variants.find(({ name }) => name === variant.name);
  if (offered === undefined) return false;
  // The offer counts the page's own copy of the weights; a stored model has none.
  const inRuntime = offered.on.wasm.memory - readBytes(manifest, variant);
  const open = bytesOfActivations(variant, model.activations, tokens);
  const more = bytesOfActivations(variant, activations, tokens);
  return 2 * inRuntime + 2 * open + more <= memoryLimit(device);
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
