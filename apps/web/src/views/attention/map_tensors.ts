// The numbers of the large attention map as tensors: the layer's activations under their contract names, and a map that
// was made of them under a name of its own.
import type { MapKind, MapRow } from '../../analysis/attention_maps';
import type { HeadRef } from '../../analysis/head_sets';
import { activationName } from '../../contract/activation_table';
import type { Answer } from '../../session/answer';
import { savedTensors, type SavedTensor } from '../save/saved_tensors';
import { PARTS_OF } from './open_layers';

export interface LargeMap {
  readonly kind: MapKind;
  /** Null for several heads together. */
  readonly head: HeadRef | null;
  readonly map: MapRow | null;
  readonly fileName: string;
}

/** Return the layer's activations, (1, heads, tokens, …), and a made map, (tokens, tokens), with 0 for later tokens. */
export function mapTensors(answer: Answer, { kind, head, map, fileName }: LargeMap): SavedTensor[] {
  const parts =
    head === null
      ? []
      : savedTensors(
          answer,
          PARTS_OF[kind].map((part) => activationName(part, head[0])),
        );
  if (map === null || (head !== null && kind !== 'weighted')) return parts;
  const tokens = answer.tokens.length;
  const data = new Float32Array(tokens * tokens);
  for (let query = 0; query < tokens; query++) {
    const row = map(query);
    for (let key = 0; key < Math.min(row.length, tokens); key++)
      data[query * tokens + key] = row[key] ?? 0;
  }
  return [...parts, { name: fileName, shape: [tokens, tokens], data }];
}
