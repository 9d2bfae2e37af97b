// The measures of the layers as a table, a row for each layer and token, and as tensors (layers, tokens).
import type { Cell } from '../../charts/table_text';
import { tokenData } from '../../analysis/token_data';
import type { FollowedToken, LensMeasures } from '../../inference/lens_reading';
import type { MeasuredText } from '../../session/lens_measuring.svelte';
import type { SavedTensor } from '../save/saved_tensors';

interface Column {
  readonly name: string;
  readonly data: Float32Array;
}

export function measuredRows({ tokens, pieces, measures, question }: MeasuredText): Cell[][] {
  const columns = columnsOf(measures, question.token);
  const top = measures.predictions?.top ?? null;
  const rows: Cell[][] = [
    [
      ...['layer', 'position', 'id', 'token'],
      ...(top === null ? [] : ['top_id', 'top_token']),
      ...columns.map(({ name }) => name),
    ],
  ];
  for (let layer = 0; layer < measures.layers; layer++)
    for (const { position, id, bytes } of tokens) {
      const at = layer * measures.tokens + position;
      const guess = top?.[at] ?? 0;
      rows.push([
        ...[layer, position, id, tokenData(bytes)],
        ...(top === null ? [] : [guess, tokenData(pieces.get(guess)?.bytes)]),
        ...columns.map(({ data }) => {
          const value = data[at] ?? NaN;
          return Number.isNaN(value) ? '' : value;
        }),
      ]);
    }
  return rows;
}

export function measuredTensors({ measures, question }: MeasuredText): SavedTensor[] {
  const shape = [measures.layers, measures.tokens];
  const top = measures.predictions?.top;
  return [
    ...(top === undefined ? [] : [{ name: 'lens_top_ids', shape, data: top }]),
    ...columnsOf(measures, question.token).map(({ name, data }) => ({ name, shape, data })),
  ];
}

function columnsOf({ stream, predictions }: LensMeasures, token: number | null): Column[] {
  const ofToken = (name: string, of: FollowedToken | null): Column[] =>
    of === null
      ? []
      : [
          { name: `lens_rank_${name}`, data: of.ranks },
          { name: `lens_probability_${name}`, data: of.probabilities },
        ];
  const ofPredictions =
    predictions === null
      ? []
      : [
          { name: 'lens_top_probability', data: predictions.topProbability },
          { name: 'lens_divergence', data: predictions.divergence },
          { name: 'lens_entropy', data: predictions.entropy },
          ...ofToken('predicted', predictions.ofPredicted),
          ...ofToken('next', predictions.ofNext),
          ...ofToken(`token_${token ?? 0}`, predictions.ofToken),
        ];
  return [
    ...ofPredictions,
    { name: 'resid_post_norm', data: stream.norm },
    { name: 'resid_post_growth', data: stream.growth },
    { name: 'resid_post_cosine_before', data: stream.turn },
    { name: 'resid_post_cosine_last', data: stream.toFinal },
  ];
}
