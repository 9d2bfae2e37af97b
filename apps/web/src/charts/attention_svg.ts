// One attention map as a vector picture that stands alone: axes, cells, title. The page's own map is a component.
import type { AttentionLayout } from './attention_layout';
import { colourOf, inkOn, type Theme, type ValueScale } from './colour_ramps';

export interface MapPicture {
  layout: AttentionLayout;
  title: string;
  row(position: number): ArrayLike<number>;
  scale: ValueScale;
  theme: Theme;
}

export function attentionSvg(picture: MapPicture): string {
  const { layout, scale, theme } = picture;
  const { left, side, cell, tokens } = layout;
  const top = layout.top + 24;
  const ink = theme === 'light' ? '#16181d' : '#e9eaed';
  const paper = theme === 'light' ? '#fcfcfa' : '#14161a';
  const line = theme === 'light' ? '#e2e2de' : '#2b2f36';
  const width = left + side + 12;
  const height = top + side + 12;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" viewBox="0 0 ${n(width)} ${n(height)}" font-family="IBM Plex Mono, monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="${paper}"/>`,
    `<text x="8" y="18" fill="${ink}" font-size="13" font-family="IBM Plex Sans, sans-serif">${escaped(picture.title)}</text>`,
    `<rect x="${n(left)}" y="${n(top)}" width="${n(side)}" height="${n(side)}" fill="none" stroke="${line}"/>`,
    '<g shape-rendering="crispEdges">',
  ];
  const values: string[] = [];
  for (let i = 0; i < tokens; i++) {
    const row = picture.row(i);
    for (let j = 0; j < row.length; j++) {
      const value = row[j] ?? 0;
      if (value <= 0) continue;
      const x = left + j * cell;
      const y = top + i * cell;
      parts.push(
        `<rect x="${n(x)}" y="${n(y)}" width="${n(cell)}" height="${n(cell)}" fill="${colourOf(value, scale, theme)}"/>`,
      );
      if (layout.showValues)
        values.push(
          `<text x="${n(x + cell / 2)}" y="${n(y + cell / 2 + 4)}" text-anchor="middle" fill="${inkOn(value, scale, theme)}">${cellNumber(value)}</text>`,
        );
    }
  }
  parts.push('</g>', ...values, `<g fill="${ink}">`);
  for (const label of layout.labels) {
    const along = label.position * cell + cell / 2;
    const text = escaped(label.text);
    parts.push(
      `<text x="${n(left - 6)}" y="${n(top + along + 4)}" text-anchor="end">${text}</text>`,
      `<text transform="translate(${n(left + along + 4)} ${n(top - 6)}) rotate(-90)">${text}</text>`,
    );
  }
  parts.push('</g></svg>');
  return parts.join('\n');
}

/** Two digits in a cell: .43; below a hundredth, a dot says there is something. */
export function cellNumber(value: number): string {
  if (value <= 0) return '';
  if (value >= 0.995) return value === 1 ? '1' : '.99';
  return value < 0.005 ? '·' : value.toFixed(2).replace(/^0/, '');
}

/** A difference of weights in percentage points: +12, −3; with a decimal where `limit`, the largest, is below ten of
 * them. Nothing where it rounds to none. */
export function cellPoints(difference: number, limit: number): string {
  const text = Math.abs(difference * 100).toFixed(limit < 0.1 ? 1 : 0);
  return Number(text) === 0 ? '' : (difference > 0 ? '+' : '−') + text.replace(/^0/, '');
}

export function escaped(text: string): string {
  return (
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      // Characters that XML forbids even when escaped.
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '�')
  );
}

function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}
