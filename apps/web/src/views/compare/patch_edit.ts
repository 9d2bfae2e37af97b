// The edit that a dragged cell becomes: the stream of one run put in at a cell of the other.
import type { StreamCell } from '../../analysis/patch_reach';
import { activationName } from '../../contract/activation_table';
import { listed, type ListedEdit } from '../../inference/listed_edits';
import type { ComparedPair } from '../../session/comparisons.svelte';

/** Return whether streams of B fit into A. */
export function canPatch({ a, b }: ComparedPair): boolean {
  const [ofA, ofB] = [a.model.manifest.model.shape, b.model.manifest.model.shape];
  return ofA.hidden === ofB.hidden;
}

/**
 * Return the edit that puts the stream of B at a cell into A at another; null where B's stream is not open. It names B's
 * text where that gives the numbers again, and holds the numbers elsewhere.
 */
export function patchEdit(
  { b, patchText }: Pick<ComparedPair, 'b' | 'patchText'>,
  from: StreamCell,
  to: StreamCell,
): ListedEdit | null {
  const { layer, position } = to;
  const place = { edit: 'replace', joint: 'resid_post', layer, position } as const;
  if (patchText !== null)
    return listed(
      { ...place, value: 0 },
      { text: patchText, at: from.position, layer: from.layer },
    );
  const row = b.answer.activations
    .get(activationName('resid_post', from.layer))
    ?.row(from.position);
  return row instanceof Float32Array && row.length > 0
    ? listed({ ...place, value: row.slice() })
    : null;
}
