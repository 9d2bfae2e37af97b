// The values of one unit along a text, as dashboards count them: a number of the activation, or the length of a head's mix.
import { offerOf, takesEdits } from '../activations/activation_offer';
import { activationName, activationTable } from '../contract/activation_table';
import { dictionaryOfKind } from '../contract/validate_dictionaries';
import type { OpenedModel, Tensor } from '../inference/model_types';

/** Return (tokens) of a tensor (1, tokens, units), or of attn_z, (1, heads, tokens, head_dim). */
export function strengthAlong(
  { data, dims }: Pick<Tensor, 'data' | 'dims'>,
  { kind, unit }: { readonly kind: string; readonly unit: number },
): Float32Array {
  if (kind === 'attn_z') {
    const [, , tokens = 0, width = 0] = dims;
    return Float32Array.from({ length: tokens }, (_, at) => {
      const begin = (unit * tokens + at) * width;
      let sum = 0;
      for (let of = begin; of < begin + width; of++) sum += Number(data[of]) ** 2;
      return Math.sqrt(sum);
    });
  }
  const [, tokens = 0, width = 0] = dims;
  return Float32Array.from({ length: tokens }, (_, at) => Number(data[at * width + unit]));
}

/** Return the contract's name of the activation that holds a unit; the output of a dictionary has its kind's own name. */
export function valuesName({
  kind,
  layer,
}: {
  readonly kind: string;
  readonly layer: number;
}): string {
  const entry = activationTable.find((known) => known.kind === kind);
  return entry === undefined ? kind : activationName(entry.kind, layer);
}

/** Return whether a run of the open variant can give the activation that holds a unit. */
export function givesUnit(
  { manifest, variant }: Pick<OpenedModel, 'manifest' | 'variant'>,
  ref: { readonly kind: string; readonly layer: number },
): boolean {
  const dictionary = dictionaryOfKind(ref.kind);
  // A dictionary's tap reads an activation of the open graph.
  if (dictionary !== null)
    return (
      takesEdits(variant) && (manifest.dictionaries ?? []).some(({ name }) => name === dictionary)
    );
  const { tappable, exported } = offerOf(variant);
  const name = valuesName(ref);
  return tappable.has(name) || exported.has(name);
}
