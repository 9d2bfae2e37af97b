// An activation's strip as a picture that stands alone: a row for each token, a column for each number of its vector.
import type { ActivationSeries } from '../../activations/activation_set';
import { cellsSvg } from '../../charts/cells_svg';
import type { Theme, ValueScale } from '../../charts/colour_ramps';
import { vectorAt } from './shown_vector';

interface StripPicture {
  readonly title: string;
  readonly caption: readonly string[];
  /** Says in words how many tokens and numbers a cell stands for. */
  readonly pooled: (rows: number, columns: number) => string;
  readonly series: ActivationSeries;
  readonly tokens: readonly string[];
  readonly scale: ValueScale;
  readonly theme: Theme;
}

/** More cells can't be told apart, and make files of many megabytes. */
const MOST_ROWS = 128;
const MOST_COLUMNS = 256;
const NAMED_COLUMNS = 8;

export function stripPicture(picture: StripPicture): string {
  const { title, caption, pooled, series, tokens, scale, theme } = picture;
  const width = series.width * series.heads;
  const [high, wide] = [Math.ceil(tokens.length / MOST_ROWS), Math.ceil(width / MOST_COLUMNS)];
  const columns = Math.ceil(width / wide);
  const every = Math.ceil(columns / NAMED_COLUMNS);
  const first = Array.from({ length: Math.ceil(tokens.length / high) }, (_, at) => at * high);
  return cellsSvg({
    ...{ title, scale, theme, labelWidth: 108 },
    caption: high > 1 || wide > 1 ? [...caption, pooled(high, wide)] : caption,
    columns: Array.from({ length: columns }, (_, at) =>
      at % every === 0 ? String(at * wide) : '',
    ),
    cell: { width: Math.max(3, Math.floor(1024 / columns)), height: first.length > 32 ? 12 : 18 },
    rows: first.map((from) => ({
      label: tokens[from] ?? '',
      values: furthest(series, { from, to: Math.min(from + high, tokens.length), wide, columns }),
      texts: null,
    })),
  });
}

/** Return, for each group of numbers, the one furthest from 0 among some tokens. */
function furthest(
  series: ActivationSeries,
  { from, to, wide, columns }: { from: number; to: number; wide: number; columns: number },
): Float32Array {
  const found = new Float32Array(columns);
  for (let position = from; position < to; position++)
    vectorAt(series, position).forEach((value, index) => {
      const at = Math.floor(index / wide);
      if (Math.abs(value) > Math.abs(found[at] ?? 0)) found[at] = value;
    });
  return found;
}
