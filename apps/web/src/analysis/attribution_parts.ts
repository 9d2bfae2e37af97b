// The parts of a model and their shares in a logit at one token, as lists and sums for reading: each part by itself,
// the sums of each layer, and the tokens that heads take their shares from.
import type { Attribution } from './attribution';

/** `attention_rest` is the attention output that comes from no head; `bias` is the final norm's. */
export type PartKind = 'embedding' | 'head' | 'attention_rest' | 'mlp' | 'bias';

export interface PartShare {
  readonly kind: PartKind;
  /** Null for the embedding and the final norm's bias. */
  readonly layer: number | null;
  /** Null for all but heads. */
  readonly head: number | null;
  readonly share: number;
}

/** The shares of one layer at a token. */
export interface LayerShares {
  readonly layer: number;
  readonly heads: readonly number[];
  readonly rest: number;
  readonly mlp: number;
  /** Heads and rest. */
  readonly attention: number;
  /** Attention and MLP. */
  readonly sum: number;
}

/** Return the shares of each layer at a token. */
export function layerShares(shares: Attribution, token: number): LayerShares[] {
  const tokens = shares.embedding.length;
  return shares.heads.map((ofHeads, layer) => {
    const heads = Array.from(
      { length: ofHeads.length / tokens },
      (_, head) => ofHeads[head * tokens + token] ?? 0,
    );
    const rest = shares.attentionRest[layer]?.[token] ?? 0;
    const mlp = shares.mlps[layer]?.[token] ?? 0;
    const attention = heads.reduce((sum, share) => sum + share, rest);
    return { layer, heads, rest, mlp, attention, sum: attention + mlp };
  });
}

/** List every part at a token, in the order in which the model computes them. */
export function partShares(shares: Attribution, token: number): PartShare[] {
  const ofLayers = layerShares(shares, token).flatMap(
    ({ layer, heads, rest, mlp }): PartShare[] => [
      ...heads.map((share, head): PartShare => ({ kind: 'head', layer, head, share })),
      { kind: 'attention_rest', layer, head: null, share: rest },
      { kind: 'mlp', layer, head: null, share: mlp },
    ],
  );
  const embedding = shares.embedding[token] ?? 0;
  return [
    { kind: 'embedding', layer: null, head: null, share: embedding },
    ...ofLayers,
    { kind: 'bias', layer: null, head: null, share: shares.bias },
  ];
}

/** Sum the parts. */
export function sumOfParts(parts: readonly PartShare[]): number {
  return parts.reduce((sum, { share }) => sum + share, 0);
}

/** `strongest` by size, `up` from what raises the logit most, `down` from what lowers it most, `model` as computed. */
export type PartOrder = 'strongest' | 'up' | 'down' | 'model';

const keys: Record<Exclude<PartOrder, 'model'>, (share: number) => number> = {
  strongest: Math.abs,
  up: (share) => share,
  down: (share) => -share,
};

/** Return the parts in an order; equal ones stay as the model computes them. */
export function sortedParts(parts: readonly PartShare[], order: PartOrder): PartShare[] {
  if (order === 'model') return [...parts];
  const key = keys[order];
  return [...parts].sort((one, other) => key(other.share) - key(one.share));
}

/** The quantity that the shares in a row of the text's picture are parts of. */
export type SourceRow =
  | { readonly of: 'all' }
  | { readonly of: 'layer'; readonly layer: number }
  | { readonly of: 'head'; readonly layer: number; readonly head: number };

/** Sum what heads take from each token, (tokens). `sources`: (heads, tokens) for each layer. */
export function sourceRow(
  sources: readonly Float32Array[],
  tokens: number,
  row: SourceRow,
): Float64Array {
  const sums = new Float64Array(tokens);
  for (const [layer, shares] of sources.entries()) {
    if (row.of !== 'all' && row.layer !== layer) continue;
    for (const [at, share] of shares.entries()) {
      if (row.of === 'head' && Math.floor(at / tokens) !== row.head) continue;
      sums[at % tokens] = (sums[at % tokens] ?? 0) + share;
    }
  }
  return sums;
}

/** Return the largest distance from 0, or 0 for no shares. */
export function largestShare(shares: Iterable<number>): number {
  let most = 0;
  for (const share of shares) most = Math.max(most, Math.abs(share));
  return most;
}
