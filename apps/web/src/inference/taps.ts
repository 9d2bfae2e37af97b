// Turns inner tensors of a graph into outputs by appending taps, and closes the joints of an open graph. What taps and
// closings are: contracts/ACTIVATIONS_CONTRACT.md.
import { closingBytes } from '../bundle/onnx/closing_bytes';
import { outputBytes } from '../bundle/onnx/output_bytes';
import { joined, savedDocument, wholeGraph } from '../bundle/onnx/whole_graph';
import { defaultActivationNames, parseActivationName } from '../contract/activation_table';
import { directionName } from '../contract/attribution_table';
import type { Variant } from '../contract/generated';
import { sessionGraph } from '../contract/variant_graphs';
import { attributionTaps, type OpenAttribution } from './attribution';
import { closedJoints, type ClosingSlots } from './closing_slots';
import { ModelError } from './model_error';

export interface TappedGraph {
  /** Serialized protobuf messages, which merge when they are concatenated. */
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
  /** Names of the outputs that are neither logits nor cache: the graph's own, then the taps' in manifest order. */
  readonly activations: readonly string[];
}

/** Return the activations that the plain graph was exported with; for a bare graph that has none, an export's default. */
export function defaultActivations(variant: Variant): string[] {
  const { plain, taps } = variant;
  const { model, outputs } = sessionGraph(variant).activations;
  const own = new Set(outputs.map(({ name }) => name));
  const exported = plain.activations.outputs.map(({ name }) => name);
  if (exported.some((name) => name !== 'logits') || taps.length === 0) {
    return exported.filter((name) => !own.has(name));
  }
  const tappable = new Set(taps.flatMap((tap) => tap.outputs.map(({ name }) => name)));
  return defaultActivationNames(model).filter((name) => tappable.has(name));
}

/** Throw kind `unknown-activation` for a name that neither the graph itself nor a tap of the variant gives. */
export function checkTaps(variant: Variant, names: readonly string[]): void {
  const { outputs } = sessionGraph(variant).activations;
  const all = [...outputs, ...variant.taps.flatMap((tap) => tap.outputs)];
  const known = new Set(all.map(({ name }) => name));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw new ModelError({ kind: 'unknown-activation', got: unknown });
}

/**
 * Append the taps of these activations and of attribution to the graph, and close its joints. Throws as `checkTaps`
 * does.
 */
export function openTaps(
  variant: Variant,
  graph: Uint8Array<ArrayBuffer>,
  names: readonly string[],
  slots: ClosingSlots,
  attribution: OpenAttribution | null = null,
): TappedGraph {
  checkTaps(variant, names);
  const { activations: document } = sessionGraph(variant);
  const outputs = document.outputs.map(({ name }) => name);
  const own = new Set(outputs);
  const wanted = new Set(names.filter((name) => !own.has(name)));
  const open = variant.taps.filter(({ outputs }) => outputs.some(({ name }) => wanted.has(name)));
  // Only plain and decoder graphs have activations among their own outputs.
  const given = outputs.filter((name) => name !== 'logits' && parseActivationName(name) !== null);
  return {
    parts: [
      graph,
      ...(document.joints === undefined
        ? []
        : [closingBytes(closedJoints(document.joints, slots))]),
      ...open.map(({ bytes }) => decodeBase64(bytes)),
      ...attributionTaps(variant, attribution).map(decodeBase64),
      ...(attribution?.direction === true ? [outputBytes(directionName, 2)] : []),
    ],
    activations: [...given, ...open.flatMap((tap) => tap.outputs.map(({ name }) => name))],
  };
}

/** Return the graph of such a session as one file, its nodes in order. */
export function savedGraph(
  variant: Variant,
  graph: Uint8Array<ArrayBuffer>,
  names: readonly string[],
  slots: ClosingSlots,
): Uint8Array<ArrayBuffer> {
  const { parts, activations } = openTaps(variant, graph, names, slots);
  const { activations: document } = sessionGraph(variant);
  const open = new Set(activations);
  const added = variant.taps.flatMap(({ outputs }) => outputs.filter(({ name }) => open.has(name)));
  return wholeGraph(parts, savedDocument(document, added, slots.size > 0));
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Return the parts as one file, which the runtime reads as one graph. */
export function concatenated(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [first] = parts;
  return first !== undefined && parts.length === 1 ? first : joined(parts);
}
