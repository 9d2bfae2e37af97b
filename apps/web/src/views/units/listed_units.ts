// The units of a layer in a list: sorted by a score, and those that a token is of.
import type { Score } from '../../bundle/dashboards/scores';
import type { DashboardGroup, Manifest } from '../../contract/generated';
import type { TokenPiece } from '../../inference/model_types';
import type { OpenLayer } from '../../session/unit_pages.svelte';
import { labelOf } from '../../session/token';

export type ListedUnit = OpenLayer['rows'][number];

export interface UnitOrder {
  readonly score: Score;
  readonly ascending: boolean;
  /** Part of a token's text, which a unit fires at or promotes; empty for all units. */
  readonly token: string;
}

/** Return the units in order; equal ones by their number. */
export function listedUnits(
  rows: readonly ListedUnit[],
  { score, ascending, token }: UnitOrder,
  pieces: ReadonlyMap<number, TokenPiece>,
): ListedUnit[] {
  const wanted = folded(token);
  const isNamed = ({ id }: { readonly id: number }): boolean =>
    folded(textOf(id, pieces)).includes(wanted);
  const kept =
    wanted === ''
      ? [...rows]
      : rows.filter(({ firing, promoted }) => firing.some(isNamed) || promoted.some(isNamed));
  const way = ascending ? 1 : -1;
  return kept.sort((a, b) => way * (a.scores[score] - b.scores[score]) || a.unit - b.unit);
}

/** A reader types a space where labels of tokens show a mark. */
function textOf(id: number, pieces: ReadonlyMap<number, TokenPiece>): string {
  const bytes = pieces.get(id)?.bytes ?? null;
  return bytes === null ? labelOf(id, null) : new TextDecoder().decode(bytes);
}

function folded(text: string): string {
  return text.trim().toLocaleLowerCase();
}

/** Return the bytes of a layer's tables, which stand beside its index and are named after it. */
export function layerBytes({ path }: DashboardGroup, { files }: Manifest): number {
  const begin = `${path.replace(/\.json$/, '')}_`;
  return files
    .filter(
      (file) => file.path.startsWith(begin) && /^\d+\.parquet$/.test(file.path.slice(begin.length)),
    )
    .reduce((sum, { bytes }) => sum + bytes, 0);
}
