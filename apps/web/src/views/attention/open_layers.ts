// The attention of an answer as maps by layer and head: probabilities, scores, or attention weighted by the values.
import type { ActivationSeries } from '../../activations/activation_set';
import type { MapKind, MapRow } from '../../analysis/attention_maps';
import { valueHead, valueNorms, weightedRow } from '../../analysis/head_scores';
import { activationName } from '../../contract/activation_table';
import type { ActivationKind } from '../../contract/generated';
import type { Answer } from '../../session/answer';

export interface OpenLayer {
  readonly layer: number;
  readonly heads: number;
  /** Returns the map of a head. */
  readonly map: (head: number) => MapRow;
}

/** The activations that a layer's maps are made of. */
export const PARTS_OF: Readonly<Record<MapKind, readonly ActivationKind[]>> = {
  attn_probs: ['attn_probs'],
  attn_scores: ['attn_scores'],
  weighted: ['attn_probs', 'v'],
};

/** Return the layers whose maps the answer can give, in their order. */
export function openLayers(
  { activations, tokens }: Pick<Answer, 'activations' | 'tokens'>,
  kind: MapKind,
  layers: number,
): OpenLayer[] {
  return Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) => {
    const [of, values] = PARTS_OF[kind].map((part) => activations.get(activationName(part, layer)));
    if (of === null || of === undefined || values === null) return [];
    const map =
      values === undefined
        ? (head: number): MapRow =>
            (query) =>
              of.row(query, head)
        : weightedMaps(of, values, tokens.length);
    return [{ layer, heads: of.heads, map }];
  });
}

function weightedMaps(
  probs: ActivationSeries,
  values: ActivationSeries,
  tokens: number,
): (head: number) => MapRow {
  const lengths = new Map<number, Float64Array>();
  const lengthsOf = (of: number): Float64Array => {
    const known = lengths.get(of) ?? valueNorms((position) => values.row(position, of), tokens);
    lengths.set(of, known);
    return known;
  };
  return (head) => (query) => {
    const lent = lengthsOf(valueHead(head, probs.heads, values.heads));
    return weightedRow(probs.row(query, head).subarray(0, tokens), lent);
  };
}
