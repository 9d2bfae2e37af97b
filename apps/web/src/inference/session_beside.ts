// Decides whether another session of a model can be made beside the open one. model_client.ts makes it.
import type { OpenedModel } from './model_types';
import { bytesOfActivations } from './activation_memory';
import { memoryLimit, readBytes } from './variant_fitness';

/**
 * Return whether this device has room for a second session with these activations, and its weights can be read again.
 * On WebGPU nobody tells how much memory is left, so there is none; nor where the weights are not in the browser's store.
 * `tokens` is the length of the text that is answered meanwhile.
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
  // The page's own copy is counted in the offer; of a kept model there is none.
  const inRuntime = offered.on.wasm.memory - readBytes(manifest, variant);
  const open = bytesOfActivations(variant, model.activations, tokens);
  const more = bytesOfActivations(variant, activations, tokens);
  return 2 * inRuntime + 2 * open + more <= memoryLimit(device);
}

/** Return whether both were made of the same files, so that one may take the other's place. */
export function areOneModel(a: OpenedModel, b: OpenedModel): boolean {
  const filesOf = ({ manifest }: OpenedModel): string =>
    JSON.stringify(manifest.files.map(({ path, digest }) => [path, digest]));
  return a.variant.name === b.variant.name && filesOf(a) === filesOf(b);
}
