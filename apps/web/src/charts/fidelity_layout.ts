// Computes the layout of the plot of bytes against divergence. Pure; FidelityPlot.svelte draws it.
import { roundUp } from './round_scale';

export interface FidelityPoint {
  name: string;
  bytes: number;
  /** Nats; 0 and values below the axis are drawn at its foot. */
  divergence: number;
}

export interface FidelityDot {
  name: string;
  x: number;
  y: number;
}

export interface DotLabel {
  text: string;
  x: number;
  y: number;
  anchor: 'start' | 'middle' | 'end';
}

export interface FidelityLayout {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
  dots: readonly FidelityDot[];
  labels: readonly DotLabel[];
  /** Bytes. */
  across: readonly { x: number; bytes: number }[];
  /** Powers of ten, the lowest first. */
  upwards: readonly { y: number; exponent: number }[];
  /** True where a dot lies at or below the lowest power. */
  clamped: boolean;
}

/** Below this, differences are float32's own rounding and say nothing of a variant. */
const LOWEST_EXPONENT = -7;
const LABEL_HEIGHT = 13;
const CHARACTER = 6.8;
const DOT = 5;

export function layoutFidelity(
  points: readonly FidelityPoint[],
  width: number,
  height: number,
): FidelityLayout {
  const plot = { left: 44, right: width - 12, top: 26, bottom: height - 38 };
  const most = Math.max(1, ...points.map(({ bytes }) => bytes));
  const step = roundUp(most / 4);
  const end = Math.ceil((most * 1.02) / step) * step;
  const positive = points.map(({ divergence }) => divergence).filter((value) => value > 0);
  const exponents = positive.map((value) => Math.log10(value));
  const high = Math.max(LOWEST_EXPONENT + 2, Math.ceil(Math.max(-1, ...exponents)));
  const low = Math.min(
    high - 2,
    Math.max(LOWEST_EXPONENT, Math.floor(Math.min(high - 2, ...exponents))),
  );
  const xOf = (bytes: number): number => plot.left + (bytes / end) * (plot.right - plot.left);
  const yOf = (exponent: number): number =>
    plot.bottom - ((exponent - low) / (high - low)) * (plot.bottom - plot.top);
  const dots = points.map(({ name, bytes, divergence }) => ({
    name,
    x: xOf(bytes),
    y: yOf(divergence > 0 ? Math.max(low, Math.log10(divergence)) : low),
  }));
  return {
    width,
    height,
    ...plot,
    dots,
    labels: labelsOf(dots, plot),
    across: Array.from({ length: Math.round(end / step) + 1 }, (_, index) => ({
      x: xOf(index * step),
      bytes: index * step,
    })),
    upwards: Array.from({ length: high - low + 1 }, (_, index) => ({
      y: yOf(low + index),
      exponent: low + index,
    })),
    clamped: points.some(({ divergence }) => divergence <= 10 ** low),
  };
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Place the labels: dots that almost coincide share one; each label takes the first free side of its dot. */
function labelsOf(dots: readonly FidelityDot[], plot: Box): DotLabel[] {
  const groups: { dot: FidelityDot; names: string[] }[] = [];
  for (const dot of dots) {
    const near = groups.find(
      ({ dot: { x, y } }) => Math.abs(x - dot.x) < 2 * DOT && Math.abs(y - dot.y) < 2 * DOT,
    );
    if (near === undefined) groups.push({ dot, names: [dot.name] });
    else near.names.push(dot.name);
  }
  const taken: Box[] = dots.map(({ x, y }) => around(x - DOT, x + DOT, y, 2 * DOT));
  return groups.map(({ dot: { x, y }, names }) => {
    const text = names.join(', ');
    const wide = text.length * CHARACTER;
    const away = DOT + 4;
    const sides: DotLabel[] = [
      { text, x: x + away, y, anchor: 'start' },
      { text, x: x - away, y, anchor: 'end' },
      { text, x, y: y - away - 4, anchor: 'middle' },
      { text, x, y: y + away + 4, anchor: 'middle' },
      { text, x: x + away, y: y - LABEL_HEIGHT, anchor: 'start' },
      { text, x: x - away, y: y - LABEL_HEIGHT, anchor: 'end' },
    ];
    const boxOf = (label: DotLabel): Box => {
      const share = { start: 0, middle: 0.5, end: 1 }[label.anchor];
      const left = label.x - share * wide;
      return around(left, left + wide, label.y, LABEL_HEIGHT);
    };
    const label = sides.find((side) => {
      const box = boxOf(side);
      const inside =
        box.left >= plot.left &&
        box.right <= plot.right + 8 &&
        box.top >= plot.top - LABEL_HEIGHT &&
        box.bottom <= plot.bottom + DOT;
      return inside && !taken.some((other) => overlap(box, other));
    }) ?? { text, x: x + away, y: y - LABEL_HEIGHT, anchor: 'start' as const };
    taken.push(boxOf(label));
    return label;
  });
}

function around(left: number, right: number, y: number, height: number): Box {
  return { left, right, top: y - height / 2, bottom: y + height / 2 };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
