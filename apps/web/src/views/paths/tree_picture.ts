// The tree of paths as a picture that stands alone.
import type { Theme } from '../../charts/colour_ramps';
import { escaped, frameHead, headHeight, INKS, n } from '../../charts/svg_frame';
import { percent } from '../../i18n/number_format';
import type { PlacedNode, TreeLayout } from './tree_layout';

interface TreePicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly layout: TreeLayout;
  readonly labelOf: (id: number) => string;
  readonly theme: Theme;
}

/** CSS pixels, on the page as well. */
export const BOX = { width: 124, height: 34, columnGap: 36, rowGap: 8, left: 20 };
const MARGIN = 16;
const NARROWEST = 560;
const BARS: Readonly<Record<Theme, string>> = { light: '#2f7f80', dark: '#56b3aa' };

export function leftOf({ column }: PlacedNode): number {
  return BOX.left + column * (BOX.width + BOX.columnGap);
}

export function topOf({ row }: PlacedNode): number {
  return row * (BOX.height + BOX.rowGap);
}

export function sizeOf({ rows, columns }: TreeLayout): { width: number; height: number } {
  return {
    width: BOX.left + columns * (BOX.width + BOX.columnGap) - BOX.columnGap,
    height: rows * (BOX.height + BOX.rowGap),
  };
}

/** Return the thickness of the line to a node: 1 to 7 pixels by the square root of its path's probability. */
export function thicknessOf({ joint }: PlacedNode): number {
  return 1 + 6 * Math.sqrt(Math.exp(joint));
}

/** Return the curve to a node from its parent, or from the tree's left edge. */
export function curveTo(node: PlacedNode, { nodes, rows }: TreeLayout): string {
  const parent = nodes.find(({ index }) => index === node.parent);
  const from =
    parent === undefined
      ? { x: 0, y: ((rows - 1) / 2) * (BOX.height + BOX.rowGap) + BOX.height / 2 }
      : { x: leftOf(parent) + BOX.width, y: topOf(parent) + BOX.height / 2 };
  const to = { x: leftOf(node), y: topOf(node) + BOX.height / 2 };
  const middle = (from.x + to.x) / 2;
  return `M${n(from.x)} ${n(from.y)}C${n(middle)} ${n(from.y)} ${n(middle)} ${n(to.y)} ${n(to.x)} ${n(to.y)}`;
}

export function treePicture({ title, caption, layout, labelOf, theme }: TreePicture): string {
  const top = headHeight(caption) + MARGIN;
  const size = sizeOf(layout);
  const width = Math.max(NARROWEST, size.width + 2 * MARGIN);
  const height = top + size.height + MARGIN;
  const { ink, line, paper } = INKS[theme];
  const parts = [...frameHead({ width, height, title, caption, theme })];
  parts.push(`<g transform="translate(${MARGIN} ${top})">`);
  for (const node of layout.nodes)
    parts.push(
      `<path d="${curveTo(node, layout)}" fill="none" stroke="${BARS[theme]}" stroke-opacity="0.6" stroke-width="${n(thicknessOf(node))}"${node.isKept ? '' : ' stroke-dasharray="4 3"'}/>`,
    );
  for (const node of layout.nodes) {
    const [x, y] = [leftOf(node), topOf(node)];
    const own = Math.exp(node.logProbability);
    const label = Array.from(labelOf(node.token)).slice(0, 16).join('');
    const joint = percent(Math.exp(node.joint));
    parts.push(
      `<rect x="${n(x)}" y="${n(y)}" width="${BOX.width}" height="${BOX.height}" fill="${paper}" stroke="${line}"${node.isKept ? '' : ' stroke-dasharray="4 3"'}/>`,
      `<rect x="${n(x)}" y="${n(y + BOX.height - 4)}" width="${n(own * BOX.width)}" height="4" fill="${BARS[theme]}"/>`,
      `<text x="${n(x + 6)}" y="${n(y + 14)}" fill="${ink}">${escaped(label)}</text>`,
      `<text x="${n(x + BOX.width - 6)}" y="${n(y + 27)}" text-anchor="end" fill="${ink}">${escaped(joint)}</text>`,
    );
  }
  parts.push('</g>', '</svg>');
  return parts.join('\n');
}
