// The edits by which a feature is added or set: with the numbers that the dictionary holds of it.
import { layerShape } from '../../contract/activation_table';
import type { DictionaryDescription, ModelShape } from '../../contract/generated';
import type { Edit, Numbers } from '../../inference/edits';
import type { ReadFeature } from '../../inference/feature_reading';

/** Return whether a feature can be set: the dictionary reads the activation it writes, and the feature doesn't depend on
 * others (topk). */
export function canClamp({ reads, writes, activation }: DictionaryDescription): boolean {
  const isRebuilt = reads.kind === writes.kind && reads.layer === writes.layer;
  return isRebuilt && activation !== 'topk';
}

/** Return the edit that adds an amount times a feature's direction, at one token or at all (null). */
export function addedFeature(
  { writes: { kind, layer } }: DictionaryDescription,
  { decoder }: Pick<ReadFeature, 'decoder'>,
  amount: number,
  position: number | null,
  shape: ModelShape,
): Edit {
  return {
    edit: 'add',
    joint: kind,
    layer,
    vector: kind === 'attn_z' ? byHeads(decoder, layerShape(shape, layer).heads) : decoder,
    strength: amount,
    ...(position !== null && { position }),
  };
}

/** Return the edit that sets a feature to a value, at one token or at all (null). */
export function clampedFeature(
  { writes: { kind, layer } }: DictionaryDescription,
  { encoder, decoder, bias, threshold }: Omit<ReadFeature, 'feature' | 'logitEffects'>,
  value: number,
  position: number | null,
): Edit {
  return {
    ...{ edit: 'clamp', joint: kind, layer, encoder, bias, threshold },
    ...{ direction: decoder, value },
    ...(position !== null && { position }),
  };
}

/** Return numbers of the heads, which a dictionary has one after another, in the dimensions of attn_z. */
function byHeads(numbers: Float32Array, heads: number): Numbers {
  return { shape: [1, heads, 1, numbers.length / heads], values: numbers };
}
