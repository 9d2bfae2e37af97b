// Frames every picture that stands alone: a background, a title, lines of caption, and text that is safe in XML.
import type { Theme } from './colour_ramps';

/** Height of a line of the caption. */
export const CAPTION_LINE = 16;
/** Height of the title above the caption. */
export const TITLE_HEIGHT = 24;

export interface SvgFrame {
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly caption: readonly string[];
  readonly theme: Theme;
}

export const INKS: Readonly<Record<Theme, { ink: string; paper: string; line: string }>> = {
  light: { ink: '#16181d', paper: '#fcfcfa', line: '#e2e2de' },
  dark: { ink: '#e9eaed', paper: '#14161a', line: '#2b2f36' },
};

/** Return the height that title and caption take. */
export function headHeight(caption: readonly string[]): number {
  return TITLE_HEIGHT + CAPTION_LINE * caption.length;
}

/** Return the opening tag, the background, the title and the caption. */
export function frameHead({ width, height, title, caption, theme }: SvgFrame): string[] {
  const { ink, paper } = INKS[theme];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" viewBox="0 0 ${n(width)} ${n(height)}" font-family="IBM Plex Mono, monospace" font-size="11">`,
    `<rect width="100%" height="100%" fill="${paper}"/>`,
    `<text x="8" y="18" fill="${ink}" font-size="13" font-family="IBM Plex Sans, sans-serif">${escaped(title)}</text>`,
    ...caption.map(
      (line, index) =>
        `<text x="8" y="${18 + CAPTION_LINE * (index + 1)}" fill="${ink}" font-family="IBM Plex Sans, sans-serif">${escaped(line)}</text>`,
    ),
  ];
}

/** Return text as XML text, with U+FFFD for what XML forbids even when escaped: controls and lone surrogates. */
export function escaped(text: string): string {
  return (
    text
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '�')
      .replace(/[\ud800-\udfff]/gu, '�')
  );
}

/** Return a coordinate with two digits. */
export function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}
