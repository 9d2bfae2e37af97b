// The scores of all heads on one text, computed a slice per frame: a long text has millions of weights.
import { scoredKeys, scoresOfHead } from '../../analysis/head_scores';
import { inSlices } from '../../charts/in_slices';
import type { HeadMapsOf } from '../../session/head_maps.svelte';
import { mapsByLayer, type HeadSizes, type ScoreTable } from './heads_shown';

export interface MeasuredHeads {
  readonly maps: HeadMapsOf;
  readonly scores: ScoreTable;
}

/** Return a reader of the newest scores; those of the text before stay until they are there. Null before the first. */
export function measuredHeads(
  given: () => HeadMapsOf | null,
  sizes: () => HeadSizes,
): () => MeasuredHeads | null {
  let found = $state.raw<MeasuredHeads | null>(null);
  $effect(() => {
    const maps = given();
    const { layers, heads } = sizes();
    if (maps === null) {
      found = null;
      return;
    }
    const keys = [scoredKeys(maps.ids)];
    const byLayer = mapsByLayer(maps);
    return inSlices(
      layers * heads,
      (at) => {
        const series = byLayer.get(Math.floor(at / heads));
        if (series === undefined) return null;
        const head = at % heads;
        return scoresOfHead((_, query) => series.row(query, head), keys);
      },
      (scores) => {
        found = { maps, scores };
      },
    );
  });
  return () => found;
}
