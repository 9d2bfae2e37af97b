// The run behind an answer, as the programs that compute it again need it.
import type { ViewedModel } from '../../inference/model_types';
import type { ShownRun } from '../../reproduce/program';
import type { Answer } from '../../session/answer';
import { labelOf } from '../../session/token';

export function shownRun({ manifest, variant }: ViewedModel, answer: Answer): ShownRun {
  const { kernels = variant.precision, encoding = 'f32' } = variant;
  return {
    model: manifest.model,
    variant: variant.name,
    isExact: kernels === 'fp32' && encoding === 'f32',
    ids: answer.tokens.map(({ id }) => id),
    interventions: answer.interventions,
    labelOf: (id) => labelOf(id, answer.pieces.get(id)?.bytes ?? null),
  };
}
