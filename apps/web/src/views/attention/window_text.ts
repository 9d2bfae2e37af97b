// Says in words which part of a map is drawn and how many tokens a drawn cell stands for: the same on the page and in pictures.
import { sameWindow, wholeMap, type MapWindow } from '../../charts/map_window';
import type { Dictionary } from '../../i18n/dictionary';

export function windowText(
  words: Dictionary,
  shown: MapWindow,
  tokens: number,
  perCell: number,
  signed: boolean,
): string[] {
  const { all, part, pooled } = words.attention.window;
  const range = sameWindow(shown, wholeMap(tokens))
    ? all(tokens)
    : part(
        [shown.row, shown.row + shown.span - 1],
        [shown.column, shown.column + shown.span - 1],
        tokens,
      );
  return perCell === 1 ? [range] : [range, pooled(perCell, signed)];
}
