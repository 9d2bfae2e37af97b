// The other side of a comparison as a program computes it.
import { isNeutral } from '../../inference/interventions';
import type { OtherRun } from '../../reproduce/shown_numbers';
import type { ComparedPair } from '../../session/comparisons.svelte';

/** Return what a program feeds for B; null where B is edited or of another variant or model than A. */
export function otherRun({ a, b }: ComparedPair): OtherRun | null {
  const isOne =
    a.model.variant.name === b.model.variant.name &&
    a.model.manifest.model.weights_digest === b.model.manifest.model.weights_digest;
  if (!isOne || !isNeutral(b.answer.interventions)) return null;
  return { ids: b.answer.activations.ids };
}
