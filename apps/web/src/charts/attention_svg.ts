// One attention map as a vector picture that stands alone: axes, cells, title. The page's own map is a component.
import type { AttentionLayout } from './attention_layout';
import { colourOf, inkOn, type Theme, type ValueScale } from './colour_ramps';
import { drawnCells, type RowReader } from './drawn_cells';
import { escaped, frameHead, headHeight, INKS, n } from './svg_frame';

export interface MapPicture {
  layout: AttentionLayout;
  /** Number of tokens on each side of a drawn cell; above 1 the map is pooled. */
  perCell: number;
  title: string;
  /** Lines below the title: which part of the map this is, and how it is pooled. */
  caption: readonly string[];
  row: RowReader;
  /** Values at or below this are no values (a masked score, a weight of 0) and leave their cell empty. */
  masked: number;
  /** Returns the text of a value in its cell, the same as on the page's own map. */
  cellText: (value: number) => string;
  scale: ValueScale;
  theme: Theme;
}

export function attentionSvg(picture: MapPicture): string {
  const { layout, scale, theme, masked, cellText, perCell, caption } = picture;
  const { left, side, window } = layout;
  const top = layout.top + headHeight(caption);
  const { ink, line } = INKS[theme];
  const width = left + side + 12;
  const height = top + side + 12;
  const parts = [
    ...frameHead({ width, height, title: picture.title, caption, theme }),
    `<rect x="${n(left)}" y="${n(top)}" width="${n(side)}" height="${n(side)}" fill="none" stroke="${line}"/>`,
    '<g shape-rendering="crispEdges">',
  ];
  const values: string[] = [];
  const drawn = drawnCells(picture.row, masked, window, perCell);
  const cell = layout.cell * perCell;
  for (let i = 0; i < drawn.rows; i++) {
    const row = drawn.row(i);
    for (let j = 0; j < row.length; j++) {
      const value = row[j] ?? 0;
      if (!(value > masked)) continue;
      const x = left + j * cell;
      const y = top + i * cell;
      // The last cells of a pooled map may stand for fewer tokens.
      const [wide, high] = [Math.min(cell, left + side - x), Math.min(cell, top + side - y)];
      parts.push(
        `<rect x="${n(x)}" y="${n(y)}" width="${n(wide)}" height="${n(high)}" fill="${colourOf(value, scale, theme)}"/>`,
      );
      if (layout.showValues)
        values.push(
          `<text x="${n(x + cell / 2)}" y="${n(y + cell / 2 + 4)}" text-anchor="middle" fill="${inkOn(value, scale, theme)}">${escaped(cellText(value))}</text>`,
        );
    }
  }
  parts.push('</g>', ...values, `<g fill="${ink}">`);
  const middle = (position: number, from: number): number => (position - from + 0.5) * layout.cell;
  for (const label of layout.rowLabels)
    parts.push(
      `<text x="${n(left - 6)}" y="${n(top + middle(label.position, window.row) + 4)}" text-anchor="end">${escaped(label.text)}</text>`,
    );
  for (const label of layout.columnLabels)
    parts.push(
      `<text transform="translate(${n(left + middle(label.position, window.column) + 4)} ${n(top - 6)}) rotate(-90)">${escaped(label.text)}</text>`,
    );
  parts.push('</g></svg>');
  return parts.join('\n');
}

/** Write a weight from 0 to 1 in a cell, with two digits: .43; a dot stands for a weight below a hundredth. */
export function cellNumber(value: number): string {
  if (value <= 0) return '';
  if (value >= 0.995) return value === 1 ? '1' : '.99';
  return value < 0.005 ? '·' : value.toFixed(2).replace(/^0/, '');
}

/** Write a raw score in a cell, with one decimal and a true minus sign: 27.3, −4.1. */
export function cellScore(value: number): string {
  const text = Math.abs(value).toFixed(1);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** Write a difference of weights in percentage points: +12, −3; with a decimal where `limit`, the largest, is below ten
 * points. Empty where it rounds to 0. */
export function cellPoints(difference: number, limit: number): string {
  const text = Math.abs(difference * 100).toFixed(limit < 0.1 ? 1 : 0);
  return Number(text) === 0 ? '' : (difference > 0 ? '+' : '−') + text.replace(/^0/, '');
}
