// Computes the layout of a large attention map: plot, cells, labels. Pure; components and vector output draw it.
import { wholeMap, type Cell, type MapWindow } from './map_window';

export interface AxisLabel {
  position: number;
  text: string;
}

export interface AttentionLayout {
  /** The part of the map that is drawn. */
  window: MapWindow;
  /** Side of the square plot and of one cell, CSS pixels. */
  side: number;
  cell: number;
  /** Room for the row labels on the left and the column labels on top. */
  left: number;
  top: number;
  rowLabels: readonly AxisLabel[];
  columnLabels: readonly AxisLabel[];
  /** True where each token of the window has its label. */
  allLabelled: boolean;
  /** True where values fit into the cells. */
  showValues: boolean;
}

const LARGEST_CELL = 56;
const LABEL_HEIGHT = 13;
const CHARACTER = 6.7;
const LONGEST_LABEL = 13;
const VALUE_CELL = 27;

export function layoutAttention(
  labels: readonly string[],
  available: number,
  window: MapWindow = wholeMap(labels.length),
): AttentionLayout {
  const { span } = window;
  // The longest of all labels, so that the plot stays in place while the window moves.
  const longest = labels.reduce((most, label) => Math.max(most, textUnits(clip(label))), 1);
  const gutter = Math.ceil(Math.min(LONGEST_LABEL, longest) * CHARACTER) + 12;
  const room = Math.max(60, available - gutter - 2);
  const cell = Math.min(LARGEST_CELL, room / span);
  const step = Math.max(1, Math.ceil(LABEL_HEIGHT / cell));
  const along = (from: number): AxisLabel[] =>
    labels
      .slice(from, from + span)
      .map((text, index) => ({ position: from + index, text: clip(text) }))
      .filter((_, index) => index % step === 0);
  return {
    window,
    side: cell * span,
    cell,
    left: gutter,
    top: gutter,
    rowLabels: along(window.row),
    columnLabels: along(window.column),
    allLabelled: step === 1,
    showValues: cell >= VALUE_CELL,
  };
}

/** Shorten a label for an axis. */
export function clip(label: string): string {
  if (textUnits(label) <= LONGEST_LABEL) return label;
  let kept = '';
  for (const character of label) {
    if (textUnits(kept + character) > LONGEST_LABEL - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Return the width in characters of a fixed-width font: East Asian characters count twice. */
function textUnits(text: string): number {
  let units = 0;
  for (const character of text)
    units +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  return units;
}

/** Return the cell of the map under a point of the plot, or null outside it. */
export function cellAt(layout: AttentionLayout, x: number, y: number): Cell | null {
  const { row, column, span } = layout.window;
  const across = Math.floor((x - layout.left) / layout.cell);
  const down = Math.floor((y - layout.top) / layout.cell);
  const inside = across >= 0 && down >= 0 && across < span && down < span;
  return inside ? { row: row + down, column: column + across } : null;
}

/** Return the cell of the window that is nearest to a point. */
export function nearestCell(layout: AttentionLayout, x: number, y: number): Cell {
  const { row, column, span } = layout.window;
  const along = (at: number): number =>
    Math.max(0, Math.min(span - 1, Math.floor(at / layout.cell)));
  return { row: row + along(y - layout.top), column: column + along(x - layout.left) };
}
