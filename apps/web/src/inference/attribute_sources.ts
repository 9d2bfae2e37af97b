// Splits the shares of heads in a logit along the text: how much of a head's share at the last token comes from each token
// that it looks at. A head's share is linear in its attention, so one more run suffices, in which every head of every
// token looks at that token alone, the stream stays as it was, and the last token's stream is normed at every token: the
// shares are then those of the values themselves, with the last token's divisor. Attention weighs them.
import type { Attribution } from '../analysis/attribution';
import { activationName, layerShape } from '../contract/activation_table';
import type { ActivationKind, ModelShape } from '../contract/generated';
import type { Edit } from './edits';
import type { Tensor } from './model_types';
import { arrayOf, type Given } from './run_outputs';

/** Return a run's activations by name. */
export function byName(tensors: readonly Tensor[]): ReadonlyMap<string, Tensor> {
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

/** List the activations that the run must give. */
export function sourceActivations({ layers }: ModelShape): string[] {
  const ofLayers = (kind: ActivationKind): string[] =>
    Array.from({ length: layers }, (_, layer) => activationName(kind, layer));
  return [
    ...ofLayers('attn_probs'),
    ...ofLayers('attn_output'),
    activationName('resid_post', layers - 1),
  ];
}

/** Return the edits of the second run, of the same text. */
export function sourceEdits({ layers, hidden }: ModelShape, tokens: number, given: Given): Edit[] {
  const itself = new Float32Array(tokens * tokens);
  for (let token = 0; token < tokens; token++) itself[token * (tokens + 1)] = 1;
  const looks = { shape: [1, 1, tokens, tokens], values: itself };
  const ofLayers = Array.from({ length: layers }, (_, layer): Edit[] => [
    { edit: 'replace', joint: 'attn_probs', layer, value: looks },
    {
      edit: 'replace',
      joint: 'attn_output',
      layer,
      value: { shape: [1, tokens, hidden], values: arrayOf(given, 'attn_output', layer) },
    },
  ]);
  const last = arrayOf(given, 'resid_post', layers - 1).slice(-hidden);
  const value = { shape: [1, 1, hidden], values: last };
  return [...ofLayers.flat(), { edit: 'replace', joint: 'resid_post', layer: layers - 1, value }];
}

/** Return edits of the same kinds of joints, so that a session can be made for them before the first run. */
export function upcomingSourceEdits({ layers }: ModelShape): Edit[] {
  const edit = { edit: 'replace', value: 0, layer: layers - 1 } as const;
  return (['attn_probs', 'attn_output', 'resid_post'] as const).map((joint) => ({
    ...edit,
    joint,
  }));
}

/**
 * Return each layer's shares by the token that they come from, (heads, tokens): their sum over tokens is the head's share
 * at the last token. `values`: the shares of the second run.
 */
export function sourceShares(shape: ModelShape, values: Attribution, given: Given): Float32Array[] {
  const looks = lastLooks(shape, values.embedding.length, given);
  return values.heads.map((shares, layer) => {
    return looks[layer]?.map((weight, at) => weight * (shares[at] ?? 0)) ?? new Float32Array();
  });
}

/** Return each head's attention from the last token, (heads, tokens) for each layer. */
export function lastLooks(shape: ModelShape, tokens: number, given: Given): Float32Array[] {
  return Array.from({ length: shape.layers }, (_, layer) => {
    const { heads } = layerShape(shape, layer);
    const probs = arrayOf(given, 'attn_probs', layer);
    const looks = new Float32Array(heads * tokens);
    for (let head = 0; head < heads; head++) {
      const end = (head + 1) * tokens * tokens;
      looks.set(probs.subarray(end - tokens, end), head * tokens);
    }
    return looks;
  });
}
