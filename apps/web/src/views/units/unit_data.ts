// A unit over a corpus as files to keep: its passages as a table and as a picture, and the units of a layer as a table.
import { SCORES } from '../../bundle/dashboards/scores';
import { cellsSvg } from '../../charts/cells_svg';
import type { Theme, ValueScale } from '../../charts/colour_ramps';
import type { Cell } from '../../charts/table_text';
import { tokenData } from '../../analysis/token_data';
import { signed } from '../../i18n/number_format';
import type { TokenPiece } from '../../inference/model_types';
import type { OpenUnit } from '../../session/unit_pages.svelte';
import { labelOf } from '../../session/token';
import type { ListedUnit } from './listed_units';

type Pieces = ReadonlyMap<number, TokenPiece>;

/** Make one row per token of each passage, the strongest passage first. */
export function passageRows({ row, pieces }: Pick<OpenUnit, 'row' | 'pieces'>): Cell[][] {
  return [
    ['passage', 'shard', 'context', 'position', 'id', 'token', 'value', 'peak'],
    ...row.passages.flatMap(({ shard, context, position, peak, ids, values }, passage) =>
      ids.map((id, at) => [
        ...[passage + 1, shard, context, position - peak + at, id],
        tokenData(pieces.get(id)?.bytes),
        values[at] ?? NaN,
        at === peak ? 1 : 0,
      ]),
    ),
  ];
}

/** Make one row per unit: its scores, and the token that it fires at most, promotes most, and suppresses most. */
export function unitScoreRows(units: readonly ListedUnit[], pieces: Pieces): Cell[][] {
  const lists = ['firing', 'promoted', 'suppressed'] as const;
  return [
    ['unit', ...SCORES, ...lists.flatMap((list) => [`${list}_id`, `${list}_token`])],
    ...units.map((row) => [
      row.unit,
      ...SCORES.map((score) => row.scores[score]),
      ...lists.flatMap((list): Cell[] => {
        const [first] = row[list];
        return first === undefined ? ['', ''] : [first.id, tokenData(pieces.get(first.id)?.bytes)];
      }),
    ]),
  ];
}

interface UnitPicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly open: Pick<OpenUnit, 'row' | 'pieces'>;
  readonly scale: ValueScale;
  readonly theme: Theme;
}

/** Tokens of a picture before the peak and after it. */
const [BEFORE, AFTER] = [10, 5];

/** Draw the passages one under another, their peaks in one column. */
export function unitPicture({ open: { row, pieces }, ...picture }: UnitPicture): string {
  const places = Array.from({ length: BEFORE + 1 + AFTER }, (_, at) => at - BEFORE);
  return cellsSvg({
    ...picture,
    columns: places.map((place) => (place > 0 ? `+${place}` : String(place))),
    cell: { width: 64, height: 26 },
    labelWidth: 72,
    rows: row.passages.map(({ peak, ids, values }) => ({
      label: signed(values[peak] ?? NaN),
      values: places.map((place) => values[peak + place] ?? 0),
      texts: places.map((place) => {
        const id = ids[peak + place];
        return id === undefined ? '' : labelOf(id, pieces.get(id)?.bytes ?? null);
      }),
    })),
  });
}
