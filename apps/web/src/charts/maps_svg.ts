// Many small maps as one vector picture that stands alone: a grid of them, each with a name and a label.
import { colourOf, type Theme, type ValueScale } from './colour_ramps';
import { drawnCells, tokensPerCell, type RowReader } from './drawn_cells';
import { wholeMap } from './map_window';
import { escaped, frameHead, headHeight, INKS, n } from './svg_frame';

export interface SmallMap {
  readonly name: string;
  readonly label: string;
  /** Null for a map that is not there. */
  readonly row: RowReader | null;
}

export interface MapsPicture {
  readonly title: string;
  readonly caption: readonly string[];
  /** Rows of the grid; null leaves a place empty. */
  readonly rows: readonly (readonly (SmallMap | null)[])[];
  readonly tokens: number;
  /** Values at or below this are no values. */
  readonly masked: number;
  readonly scale: ValueScale;
  readonly theme: Theme;
}

/** CSS pixels. */
const SIDE = 72;
const WIDE = 92;
const HIGH = 108;
const MARGIN = 12;
const NARROWEST = 560;
/** Smallest side of a drawn cell: smaller ones can't be told apart and make large files. */
const SMALLEST_CELL = 3;

export function mapsSvg({ title, caption, rows, theme, ...maps }: MapsPicture): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const top = headHeight(caption) + MARGIN;
  const { ink } = INKS[theme];
  const width = Math.max(NARROWEST, 2 * MARGIN + columns * WIDE);
  const height = top + rows.length * HIGH + MARGIN;
  const parts = frameHead({ width, height, title, caption, theme });
  for (const [down, row] of rows.entries())
    for (const [across, map] of row.entries()) {
      if (map === null) continue;
      const [x, y] = [MARGIN + across * WIDE, top + down * HIGH];
      parts.push(
        `<g transform="translate(${n(x)} ${n(y)})" fill="${ink}">`,
        `<text y="9">${escaped(map.name)}</text>`,
        `<text y="${SIDE + 26}">${escaped(map.label)}</text>`,
        `<g transform="translate(0 13)">`,
        ...mapPaths(map, theme, maps),
        '</g></g>',
      );
    }
  parts.push('</svg>');
  return parts.join('\n');
}

/** Return a frame, and a path for each colour: a square for each cell of the map. */
function mapPaths(
  { row }: SmallMap,
  theme: Theme,
  { tokens, masked, scale }: Pick<MapsPicture, 'tokens' | 'masked' | 'scale'>,
): string[] {
  const frame = `<rect width="${SIDE}" height="${SIDE}" fill="none" stroke="${INKS[theme].line}"/>`;
  if (row === null) return [frame];
  const perCell = tokensPerCell(tokens, SIDE / SMALLEST_CELL);
  const drawn = drawnCells(row, masked, wholeMap(tokens), perCell);
  const side = SIDE / drawn.rows;
  const squares = new Map<string, string[]>();
  for (let i = 0; i < drawn.rows; i++) {
    const values = drawn.row(i);
    for (let j = 0; j < values.length; j++) {
      const value = values[j] ?? 0;
      if (!(value > masked)) continue;
      const colour = colourOf(value, scale, theme);
      const path = `M${n(j * side)} ${n(i * side)}h${n(side)}v${n(side)}h${n(-side)}z`;
      squares.set(colour, [...(squares.get(colour) ?? []), path]);
    }
  }
  return [
    frame,
    ...Array.from(
      squares,
      ([colour, paths]) =>
        `<path shape-rendering="crispEdges" fill="${colour}" d="${paths.join('')}"/>`,
    ),
  ];
}
