// A map as a picture that stands alone: its size, its name, and what its caption says of the part that it shows.
import type { Token } from '../../session/token';
import { layoutAttention } from '../../charts/attention_layout';
import { attentionSvg, type MapPicture } from '../../charts/attention_svg';
import { tokensPerCell } from '../../charts/drawn_cells';
import { shownWindow, type MapWindow } from '../../charts/map_window';
import type { Dictionary } from '../../i18n/dictionary';
import { windowText } from './window_text';

interface ShownMap extends Omit<MapPicture, 'layout' | 'perCell' | 'caption'> {
  tokens: readonly Token[];
  /** The part that is shown; null is the whole map. */
  zoomed: MapWindow | null;
  /** Name of the file, without its extension and without the part that is shown. */
  name: string;
  /** Lines of the caption about model, text and edits. */
  facts: readonly string[];
  words: Dictionary;
}

export interface SavedMap {
  fileName: string;
  svg: () => string;
}

/** CSS pixels: side of a token's cell where there is room, and the limits of the picture's width. */
const TOKEN = 18;
const NARROWEST = 560;
const WIDEST = 1400;
/** Smallest side of a cell: smaller ones can't be told apart and make files of many megabytes. */
const SMALLEST_CELL = 2;

export function savedMap({ tokens, zoomed, name, facts, words, ...map }: ShownMap): SavedMap {
  const window = shownWindow(zoomed, tokens.length);
  const whole = window.span >= tokens.length;
  return {
    fileName: whole
      ? name
      : `${name}_tokens_${window.row}-${window.row + window.span - 1}_to_${window.column}-${window.column + window.span - 1}`,
    svg: () => {
      const layout = layoutAttention(
        tokens.map((token) => token.label),
        Math.max(NARROWEST, Math.min(WIDEST, window.span * TOKEN)),
        window,
      );
      const perCell = tokensPerCell(window.span, layout.side / SMALLEST_CELL);
      const caption =
        whole && perCell === 1
          ? []
          : windowText(words, window, tokens.length, perCell, map.scale.kind === 'signed');
      return attentionSvg({ ...map, layout, perCell, caption: [...facts, ...caption] });
    },
  };
}
