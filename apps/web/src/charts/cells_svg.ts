// A table of coloured cells as a vector picture that stands alone: the lens, and the strips of an activation.
import { colourOf, inkOn, type Theme, type ValueScale } from './colour_ramps';
import { escaped, frameHead, headHeight, INKS, n } from './svg_frame';

export interface CellsPicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly rows: readonly CellsRow[];
  /** Texts above the columns; empty texts leave a column without one. */
  readonly columns: readonly string[];
  /** CSS pixels. */
  readonly cell: { readonly width: number; readonly height: number };
  readonly labelWidth: number;
  readonly scale: ValueScale;
  readonly theme: Theme;
}

export interface CellsRow {
  readonly label: string;
  readonly values: ArrayLike<number>;
  /** Texts in the cells; null for cells without text. */
  readonly texts: readonly string[] | null;
}

const COLUMN_HEIGHT = 18;
/** Width of a character of the picture's text. */
const CHARACTER = 6.7;
const MARGIN = 12;
const NARROWEST = 560;

export function cellsSvg(picture: CellsPicture): string {
  const { title, caption, rows, columns, cell, labelWidth, scale, theme } = picture;
  const top = headHeight(caption) + COLUMN_HEIGHT;
  const { ink } = INKS[theme];
  const width = Math.max(NARROWEST, labelWidth + columns.length * cell.width + MARGIN);
  const height = top + rows.length * cell.height + MARGIN;
  const parts = [...frameHead({ width, height, title, caption, theme }), `<g fill="${ink}">`];
  columns.forEach((text, at) => {
    if (text !== '')
      parts.push(
        `<text x="${n(labelWidth + at * cell.width + 3)}" y="${n(top - 5)}">${escaped(fitted(text, cell.width))}</text>`,
      );
  });
  rows.forEach(({ label }, at) => {
    if (label !== '')
      parts.push(
        `<text x="${n(labelWidth - 6)}" y="${n(top + (at + 0.5) * cell.height + 4)}" text-anchor="end">${escaped(fitted(label, labelWidth))}</text>`,
      );
  });
  parts.push('</g>', '<g shape-rendering="crispEdges">');
  const texts: string[] = [];
  rows.forEach((row, at) => {
    const y = top + at * cell.height;
    for (let column = 0; column < columns.length; column++) {
      const value = row.values[column] ?? 0;
      const x = labelWidth + column * cell.width;
      parts.push(
        `<rect x="${n(x)}" y="${n(y)}" width="${n(cell.width)}" height="${n(cell.height)}" fill="${colourOf(value, scale, theme)}"/>`,
      );
      if (row.texts !== null)
        texts.push(
          `<text x="${n(x + 3)}" y="${n(y + cell.height / 2 + 4)}" fill="${inkOn(value, scale, theme)}">${escaped(fitted(row.texts[column] ?? '', cell.width))}</text>`,
        );
    }
  });
  parts.push('</g>', ...texts, '</svg>');
  return parts.join('\n');
}

/** Cut a text that is wider than its place, with an ellipsis. */
function fitted(text: string, width: number): string {
  const characters = Array.from(text);
  const room = Math.max(1, Math.floor((width - 4) / CHARACTER));
  return characters.length <= room ? text : `${characters.slice(0, room - 1).join('')}…`;
}
