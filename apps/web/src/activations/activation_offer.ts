// Sorts the contract's activations into those a model was exported with, those a tap can open, and those it lacks.
import { modelKinds } from '../contract/activation_table';
import type { ActivationKind, ModelShape, Variant } from '../contract/generated';
import { sessionGraph } from '../contract/variant_graphs';
import { protocolOf } from '../inference/graph_protocols';

/** `exported` and `tapped` are open now; `closed` can be opened; `absent` this model does not have. */
export type Availability = 'exported' | 'tapped' | 'closed' | 'absent';

export interface ActivationOffer {
  exported: ReadonlySet<string>;
  tappable: ReadonlySet<string>;
}

export function offerOf(variant: Variant): ActivationOffer {
  return {
    exported: new Set(variant.plain.activations.outputs.map((output) => output.name)),
    tappable: new Set(variant.taps.flatMap((tap) => tap.outputs.map((output) => output.name))),
  };
}

/** Return whether the model takes interventions: plain and decoder graphs are closed. */
export function canIntervene(variant: Variant): boolean {
  return protocolOf(sessionGraph(variant).activations).edits !== 'none';
}

/** Return whether every edit has a place in the model: graphs of contract 1.x only switch heads. */
export function takesEdits(variant: Variant): boolean {
  return protocolOf(sessionGraph(variant).activations).edits === 'joints';
}

/** Return whether the model gives the logits of several tokens in one run: graphs of contract 1.x and plain ones don't. */
export function runsTexts(variant: Variant): boolean {
  return protocolOf(sessionGraph(variant).activations).batch !== null;
}

export function availabilityOf(
  name: string,
  offer: ActivationOffer,
  open: ReadonlySet<string>,
): Availability {
  if (open.has(name)) return offer.exported.has(name) ? 'exported' : 'tapped';
  return offer.tappable.has(name) || offer.exported.has(name) ? 'closed' : 'absent';
}

/** List the kinds on the panel of activations: all but the logits, which every run gives, with the lens as one kind. */
export function panelKinds(shape: ModelShape): ActivationKind[] {
  return modelKinds(shape).filter((kind) => kind !== 'logits' && kind !== 'lens_ids');
}

/** Add the ids to the probabilities of the lens, which mean nothing without them. */
export function withPartners(names: readonly string[]): string[] {
  const all = names.flatMap((name) =>
    name.endsWith('_lens_probs') ? [name, name.replace('_lens_probs', '_lens_ids')] : [name],
  );
  return [...new Set(all)];
}
