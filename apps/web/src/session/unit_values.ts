// The values of one unit along a text, as dashboards count them: a number of the activation, or the length of a head's mix.
import { activationName, activationTable } from '../contract/activation_table';
import type { Tensor } from '../inference/model_types';

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
