// Attention as curves over running text: from the token that looks to the tokens it looks at. Pure geometry.

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Return a curve from the top of `from` to the top of `to`, or to its foot where `to` is on a line above. */
export function arcPath(from: Box, to: Box): string {
  const startX = from.x + from.width / 2;
  const startY = from.y;
  const endX = to.x + to.width / 2;
  if (from === to) {
    const reach = Math.min(7, from.width / 2);
    return `M${r(startX - reach)} ${r(startY)}C${r(startX - reach)} ${r(startY - 11)} ${r(startX + reach)} ${r(startY - 11)} ${r(startX + reach)} ${r(startY)}`;
  }
  if (Math.abs(from.y - to.y) < from.height / 2) {
    const rise = Math.min(26, 7 + Math.abs(startX - endX) * 0.09);
    return `M${r(startX)} ${r(startY)}C${r(startX)} ${r(startY - rise)} ${r(endX)} ${r(startY - rise)} ${r(endX)} ${r(to.y)}`;
  }
  const endY = to.y + to.height;
  const bend = Math.max(14, (startY - endY) * 0.5);
  return `M${r(startX)} ${r(startY)}C${r(startX)} ${r(startY - bend)} ${r(endX)} ${r(endY + bend)} ${r(endX)} ${r(endY)}`;
}

function r(value: number): string {
  return value.toFixed(1);
}

/** Return the stroke width in CSS pixels for a weight from 0 to 1. */
export function strokeOf(weight: number): number {
  return 0.75 + 5.25 * Math.sqrt(Math.max(0, weight));
}
