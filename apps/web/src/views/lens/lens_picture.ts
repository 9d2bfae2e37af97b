// The lens as a picture that stands alone: a row for each layer, the last one above, a column for each token.
import type { ActivationSeries } from '../../activations/activation_set';
import { cellsSvg } from '../../charts/cells_svg';
import type { Theme, ValueScale } from '../../charts/colour_ramps';

interface LensPicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly layers: readonly { layer: number; ids: ActivationSeries; probs: ActivationSeries }[];
  /** Texts of the tokens. */
  readonly tokens: readonly string[];
  readonly labelOf: (id: number) => string;
  readonly layerName: (layer: number) => string;
  readonly scale: ValueScale;
  readonly theme: Theme;
}

const CELL = { width: 72, height: 22 };

export function lensPicture(picture: LensPicture): string {
  const { title, caption, layers, tokens, labelOf, layerName, scale, theme } = picture;
  return cellsSvg({
    ...{ title, caption, columns: tokens, cell: CELL, labelWidth: 40, scale, theme },
    rows: layers.map(({ layer, ids, probs }) => ({
      label: layerName(layer),
      values: tokens.map((_, position) => probs.row(position)[0] ?? 0),
      texts: tokens.map((_, position) => labelOf(ids.row(position)[0] ?? 0)),
    })),
  });
}
