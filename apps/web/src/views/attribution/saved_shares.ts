// An attribution as a table, as tensors under the contract's names, and as the numbers of a program that computes them again.
import type { PartShare } from '../../analysis/attribution_parts';
import type { Cell } from '../../charts/table_text';
import { attributionName } from '../../contract/attribution_table';
import type { Part, ShownAttribution } from '../../reproduce/shown_numbers';
import type { AttributedLogit } from '../../session/attributions.svelte';
import type { SavedTensor } from '../save/saved_tensors';

/** Make one row per part, in the order in which the model computes them. */
export function shareRows(parts: readonly PartShare[]): (readonly Cell[])[] {
  return [
    ['part', 'layer', 'head', 'share'],
    ...parts.map(({ kind, layer, head, share }) => [kind, layer ?? '', head ?? '', share]),
  ];
}

/** Return all shares in their contract shapes, with one direction. */
export function shareTensors({ shares, neuronsOf }: AttributedLogit): SavedTensor[] {
  const tokens = shares.embedding.length;
  const each = (what: string, layer: number | null, data: Float32Array): SavedTensor => ({
    name: attributionName(what, layer),
    shape: [1, tokens, 1],
    data,
  });
  const { neurons } = shares;
  return [
    each('embedding', null, shares.embedding),
    { name: attributionName('bias', null), shape: [1], data: Float32Array.of(shares.bias) },
    each('logits', null, shares.logit),
    ...shares.heads.map((data, layer) => ({
      name: attributionName('heads', layer),
      shape: [1, data.length / tokens, tokens, 1],
      data,
    })),
    ...shares.attentionRest.map((data, layer) => each('attention_rest', layer, data)),
    ...shares.mlps.map((data, layer) => each('mlp', layer, data)),
    ...(neurons === null || neuronsOf === null
      ? []
      : [
          {
            name: attributionName('neurons', neuronsOf),
            shape: [1, tokens, neurons.length / tokens, 1],
            data: neurons,
          },
        ]),
  ];
}

/** Return what a program must compute: every part's share at the attribution's last token. */
export function shownAttribution(
  { answer, other, tokens }: AttributedLogit,
  parts: readonly PartShare[],
): ShownAttribution {
  return {
    thing: 'attribution',
    ...{ answer, other, position: tokens.length - 1 },
    parts: parts.map(namedPart),
    values: parts.map(({ share }) => share),
  };
}

function namedPart({ kind, layer, head }: PartShare): Part {
  switch (kind) {
    case 'embedding':
    case 'bias':
      return { part: kind };
    case 'attention_rest':
    case 'mlp':
      return { part: kind, layer: layer ?? 0 };
    case 'head':
      return { part: kind, layer: layer ?? 0, head: head ?? 0 };
  }
}
