// The lens as a picture that stands alone: a row for each layer, the first one above, a column for each token.
import { cellsSvg } from '../../charts/cells_svg';
import type { Theme } from '../../charts/colour_ramps';
import type { LensCells } from './lens_cells';

interface LensPicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly cells: LensCells;
  /** Texts of the tokens. */
  readonly tokens: readonly string[];
  /** Return a token's text; null where cells show values. */
  readonly labelOf: ((id: number) => string) | null;
  readonly layerName: (layer: number) => string;
  readonly theme: Theme;
}

const CELL = { width: 72, height: 22 };

export function lensPicture(picture: LensPicture): string {
  const { title, caption, cells, tokens, labelOf, layerName, theme } = picture;
  const { scale } = cells;
  const textOf = (row: number, position: number): string => {
    const top = cells.topAt(row, position);
    if (labelOf !== null && top !== null) return labelOf(top);
    const value = cells.valueAt(row, position);
    return Number.isNaN(value) ? '–' : cells.write(value);
  };
  return cellsSvg({
    ...{ title, caption, columns: tokens, cell: CELL, labelWidth: 40, scale, theme },
    rows: cells.layers.map((layer, row) => ({
      label: layerName(layer),
      values: tokens.map((_, position) => cells.place(cells.valueAt(row, position))),
      texts: tokens.map((_, position) => textOf(row, position)),
    })),
  });
}
