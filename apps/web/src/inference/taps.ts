// Turns inner tensors of a graph into outputs by appending taps. What a tap is: contracts/ACTIVATIONS_CONTRACT.md.
import { defaultActivationNames, parseActivationName } from '../contract/activation_table';
import type { Variant } from '../contract/generated';
import { ModelError } from './model_error';

export interface TappedGraph {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Names of the outputs that are neither logits nor cache: the graph's own, then the taps' in manifest order. */
  readonly activations: readonly string[];
}

/** Return the activations that the plain graph was exported with; for a bare interactive graph, an export's default. */
export function defaultActivations({ plain, interactive, taps }: Variant): string[] {
  const { model, outputs } = interactive.activations;
  const own = new Set(outputs.map(({ name }) => name));
  const exported = plain.activations.outputs.map(({ name }) => name);
  if (exported.some((name) => name !== 'logits') || taps.length === 0) {
    return exported.filter((name) => !own.has(name));
  }
  const tappable = new Set(taps.flatMap((tap) => tap.outputs.map(({ name }) => name)));
  return defaultActivationNames(model).filter((name) => tappable.has(name));
}

/** Throw kind `unknown-activation` for a name that neither the graph itself nor a tap of the variant gives. */
export function checkTaps({ interactive, taps }: Variant, names: readonly string[]): void {
  const all = [...interactive.activations.outputs, ...taps.flatMap(({ outputs }) => outputs)];
  const known = new Set(all.map(({ name }) => name));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw new ModelError({ kind: 'unknown-activation', got: unknown });
}

/** Append the taps of these activations to the graph. Throws as `checkTaps` does. */
export function openTaps(
  variant: Variant,
  graph: Uint8Array<ArrayBuffer>,
  names: readonly string[],
): TappedGraph {
  checkTaps(variant, names);
  const outputs = variant.interactive.activations.outputs.map(({ name }) => name);
  const own = new Set(outputs);
  const wanted = new Set(names.filter((name) => !own.has(name)));
  const open = variant.taps.filter(({ outputs }) => outputs.some(({ name }) => wanted.has(name)));
  // Only a bare plain graph has activations among its own outputs.
  const given = outputs.filter((name) => name !== 'logits' && parseActivationName(name) !== null);
  return {
    // Serialized protobuf messages merge when they are concatenated.
    bytes:
      open.length === 0
        ? graph
        : concatenate([graph, ...open.map(({ bytes }) => decodeBase64(bytes))]),
    activations: [...given, ...open.flatMap((tap) => tap.outputs.map(({ name }) => name))],
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
