// Says which views an answer has, and which activations a view may open by itself.
import { offerOf } from '../activations/activation_offer';
import { modelActivationNames, parseActivationName } from '../contract/activation_table';
import type { Variant } from '../contract/generated';
import type { OpenedModel, ViewedModel } from '../inference/model_types';
import { VIEWS, type View } from './registry';

/** Multiplications per token up to which a view that is seen opens its activations by itself. */
const CHEAP = 20e6;

/** Return the names that the variant can give, without or with a tap, of the view's kinds. */
function namesFor(view: View, names: Iterable<string>): string[] {
  return [...names].filter((name) => {
    const kind = parseActivationName(name)?.kind;
    return kind !== undefined && view.kinds.includes(kind);
  });
}

function canGive(view: View, variant: Variant): boolean {
  const { exported, tappable } = offerOf(variant);
  return namesFor(view, [...exported, ...tappable]).length > 0;
}

/** List the views of a place for the model whose answer is shown; `opened` is null while it can't be asked. */
export function viewsFor(
  place: View['place'],
  model: ViewedModel,
  opened: OpenedModel | null,
): View[] {
  return VIEWS.filter(
    (view) =>
      view.place === place &&
      view.has?.(model.manifest.model.shape) !== false &&
      (view.suits === null || (opened !== null && view.suits(opened))) &&
      (!view.needsKinds || canGive(view, model.variant)),
  );
}

/** Return the view that is shown alone, or all where none is, or where this model lacks it. */
export function shownViews(views: readonly View[], alone: string | null): readonly View[] {
  const only = views.filter(({ id }) => id === alone);
  return only.length > 0 ? only : views;
}

/** List the activations that the view opens when it is first seen: none where they cost much or none can be opened. */
export function openedWhenSeen(view: View, { manifest, variant }: OpenedModel): string[] {
  const { shape } = manifest.model;
  if (view.cost === null || view.cost(shape) > CHEAP) return [];
  const { tappable } = offerOf(variant);
  return namesFor(view, modelActivationNames(shape)).filter((name) => tappable.has(name));
}
