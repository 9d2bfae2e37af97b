// The scores of all heads as a table, as tensors, and as the numbers of a program that computes them again.
import type { ScoredHead } from '../../analysis/head_roles';
import { SCORE_NAMES } from '../../analysis/head_scores';
import type { Cell } from '../../charts/table_text';
import type { ShownHeadScores } from '../../reproduce/shown_numbers';
import type { SavedTensor } from '../save/saved_tensors';
import { allHeads, type HeadSizes, type ScoreTable } from './heads_shown';

/** Make one row per head; a score that the text did not give, or of a map that is not there, is empty. */
export function scoreRows(heads: readonly ScoredHead[]): (readonly Cell[])[] {
  return [
    ['layer', 'head', ...SCORE_NAMES],
    ...heads.map(({ layer, head, scores }) => [
      layer,
      head,
      ...SCORE_NAMES.map((name) => {
        const score = scores?.[name] ?? NaN;
        return Number.isNaN(score) ? '' : score;
      }),
    ]),
  ];
}

/**
 * Return each score as (layers, heads), under its name in oriel.analysis.head_scores, with the ids that it was measured
 * on, (1, tokens).
 */
export function scoreTensors(
  { layers, heads }: HeadSizes,
  scores: ScoreTable,
  ids: readonly number[],
): SavedTensor[] {
  return [
    { name: 'measured_ids', shape: [1, ids.length], data: Int32Array.from(ids) },
    ...SCORE_NAMES.map((name) => ({
      name,
      shape: [layers, heads],
      data: Float32Array.from({ length: layers * heads }, (_, at) => scores[at]?.[name] ?? NaN),
    })),
  ];
}

/** Return what a program must compute: the scores of the heads that have them. */
export function shownScores(sizes: HeadSizes, scores: ScoreTable): ShownHeadScores | null {
  const names = SCORE_NAMES.filter((name) =>
    scores.some((one) => one !== null && !Number.isNaN(one[name])),
  );
  const heads = allHeads(sizes, scores).flatMap(({ layer, head, scores: found }) =>
    found === null ? [] : [{ head: [layer, head] as const, found }],
  );
  if (names.length === 0) return null;
  return {
    thing: 'head-scores',
    scores: names,
    heads: heads.map(({ head }) => head),
    values: heads.flatMap(({ found }) => names.map((name) => found[name])),
  };
}
