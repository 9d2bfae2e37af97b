// Where things of a large attention map stand: plot, cells, labels. Pure; components draw it and vector output writes it.

export interface AxisLabel {
  position: number;
  text: string;
}

export interface AttentionLayout {
  tokens: number;
  /** Side of the square plot and of one cell, CSS pixels. */
  side: number;
  cell: number;
  /** Room for the row labels on the left and the column labels on top. */
  left: number;
  top: number;
  labels: readonly AxisLabel[];
  /** Values fit into the cells. */
  showValues: boolean;
}

const LARGEST_CELL = 56;
const LABEL_HEIGHT = 13;
const CHARACTER = 6.7;
const LONGEST_LABEL = 13;
const VALUE_CELL = 27;

export function layoutAttention(labels: readonly string[], available: number): AttentionLayout {
  const tokens = Math.max(1, labels.length);
  const longest = labels.reduce((most, label) => Math.max(most, textUnits(clip(label))), 1);
  const gutter = Math.ceil(Math.min(LONGEST_LABEL, longest) * CHARACTER) + 12;
  const room = Math.max(60, available - gutter - 2);
  const cell = Math.min(LARGEST_CELL, room / tokens);
  const step = Math.max(1, Math.ceil(LABEL_HEIGHT / cell));
  return {
    tokens,
    side: cell * tokens,
    cell,
    left: gutter,
    top: gutter,
    labels: labels
      .map((text, position) => ({ position, text: clip(text) }))
      .filter(({ position }) => position % step === 0),
    showValues: cell >= VALUE_CELL,
  };
}

/** A label short enough for an axis. */
export function clip(label: string): string {
  if (textUnits(label) <= LONGEST_LABEL) return label;
  let kept = '';
  for (const character of label) {
    if (textUnits(kept + character) > LONGEST_LABEL - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Width in characters of a fixed-width font: East Asian characters count twice. */
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

/** The cell under a point of the plot, or null outside it. */
export function cellAt(
  layout: AttentionLayout,
  x: number,
  y: number,
): { row: number; column: number } | null {
  const column = Math.floor((x - layout.left) / layout.cell);
  const row = Math.floor((y - layout.top) / layout.cell);
  const inside = column >= 0 && row >= 0 && column < layout.tokens && row < layout.tokens;
  return inside ? { row, column } : null;
}
