// Turns inner tensors of a graph into outputs by appending taps. What a tap is: contracts/ACTIVATIONS_CONTRACT.md.
import type { Variant } from '../contract/generated';
import { ModelError } from './model_error';

export interface TappedGraph {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Names of the outputs that are neither logits nor cache, in the order of the manifest. */
  readonly activations: readonly string[];
}

/** What the plain graph was exported with. */
export function defaultActivations({ plain, interactive }: Variant): string[] {
  const own = new Set(interactive.activations.outputs.map(({ name }) => name));
  return plain.activations.outputs.map(({ name }) => name).filter((name) => !own.has(name));
}

/** Throws kind `unknown-activation` for a name that no tap of the variant gives. */
export function openTaps(
  variant: Variant,
  graph: Uint8Array<ArrayBuffer>,
  names: readonly string[],
): TappedGraph {
  const own = new Set(variant.interactive.activations.outputs.map(({ name }) => name));
  const known = new Set(variant.taps.flatMap(({ outputs }) => outputs.map(({ name }) => name)));
  const wanted = new Set(names.filter((name) => !own.has(name)));
  for (const name of wanted) {
    if (!known.has(name)) throw new ModelError({ kind: 'unknown-activation', got: name });
  }
  const open = variant.taps.filter(({ outputs }) => outputs.some(({ name }) => wanted.has(name)));
  return {
    // Serialized protobuf messages merge when they are concatenated.
    bytes: concatenate([graph, ...open.map(({ bytes }) => decodeBase64(bytes))]),
    activations: open.flatMap(({ outputs }) => outputs.map(({ name }) => name)),
  };
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
