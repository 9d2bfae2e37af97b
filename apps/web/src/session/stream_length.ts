// Measures the length of the residual stream after a layer, which tells how far to steer it.
import { activationName } from '../contract/activation_table';
import { ModelError } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';

/** Return the median length (L2 norm) of the stream after a layer, over the text's tokens, without edits. */
export async function streamLength(
  client: ModelClient,
  ids: readonly number[],
  layer: number,
): Promise<number> {
  const name = activationName('resid_post', layer);
  const { texts } = await client.runBatch({ texts: [ids], activations: [name] });
  const tensor = texts[0]?.tensors.find((each) => each.name === name);
  if (tensor === undefined) throw new ModelError({ kind: 'run', detail: `no output ${name}` });
  const width = tensor.dims.at(-1) ?? 1;
  const lengths = ids.map((_, at) =>
    Math.hypot(...tensor.data.subarray(at * width, (at + 1) * width)),
  );
  lengths.sort((a, b) => a - b);
  const middle = lengths.length / 2;
  return ((lengths[Math.ceil(middle) - 1] ?? 0) + (lengths[Math.floor(middle)] ?? 0)) / 2;
}
