// The heads that the overview shows: each with its scores and its map, in the chosen order, without those filtered out.
import type { HeadScores } from '../../analysis/head_scores';
import { sortedBy, withRoles, type HeadsShown, type ScoredHead } from '../../analysis/head_roles';
import { readHeads } from '../../analysis/head_sets';
import type { HeadMapsOf } from '../../session/head_maps.svelte';

export interface HeadSizes {
  readonly layers: number;
  readonly heads: number;
}

/** Scores by head, row-major over layers and heads; null where a layer's maps are not there. */
export type ScoreTable = readonly (HeadScores | null)[];

/** Return the place of a head in a table of all heads. */
export function placeOf(
  { layer, head }: Pick<ScoredHead, 'layer' | 'head'>,
  heads: number,
): number {
  return layer * heads + head;
}

export function allHeads({ layers, heads }: HeadSizes, scores: ScoreTable): ScoredHead[] {
  return Array.from({ length: layers * heads }, (_, at) => ({
    layer: Math.floor(at / heads),
    head: at % heads,
    scores: scores[at] ?? null,
  }));
}

/** Return the heads to show, in order; of a text that names no heads, all. */
export function shownHeads(
  all: readonly ScoredHead[],
  sizes: HeadSizes,
  shown: HeadsShown,
): ScoredHead[] {
  const only = readHeads(shown.only, sizes);
  const chosen =
    'got' in only
      ? [...all]
      : only.flatMap(([layer, head]) => all[placeOf({ layer, head }, sizes.heads)] ?? []);
  const found = withRoles(chosen, shown.roles, shown.thresholds);
  return shown.by === null ? found : sortedBy(found, shown.by);
}

/** A row of the grid: one layer's heads at their places, or, sorted, as many as fit. */
export interface HeadRow {
  /** Null where the rows are not layers. */
  readonly layer: number | null;
  /** Null for a place whose head is not shown. */
  readonly cells: readonly (ScoredHead | null)[];
}

/** Lay heads out: in the model's order a row for each layer that has any, sorted in rows of `columns`. */
export function headRows(
  shown: readonly ScoredHead[],
  heads: number,
  sortedIn: number | null,
): HeadRow[] {
  if (sortedIn !== null)
    return Array.from({ length: Math.ceil(shown.length / sortedIn) }, (_, row) => ({
      layer: null,
      cells: shown.slice(row * sortedIn, (row + 1) * sortedIn),
    }));
  const layers = [...new Set(shown.map(({ layer }) => layer))];
  return layers.map((layer) => ({
    layer,
    cells: Array.from(
      { length: heads },
      (_, head) => shown.find((one) => one.layer === layer && one.head === head) ?? null,
    ),
  }));
}

/** Return the maps of a text by layer. */
export function mapsByLayer(
  maps: HeadMapsOf | null,
): ReadonlyMap<number, HeadMapsOf['layers'][number]['series']> {
  return new Map(maps?.layers.map(({ layer, series }) => [layer, series]));
}
