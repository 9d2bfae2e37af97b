// Turns a matrix of numbers into pixels: one per cell, or, where cells outnumber pixels, one for several cells, with
// their value furthest from 0.
import { rampFor, rampIndex, type Theme, type ValueScale } from './colour_ramps';

/** `row(i)` may be shorter than `columns`; the cells beyond are left clear. */
export interface MatrixSource {
  rows: number;
  columns: number;
  row(index: number): ArrayLike<number>;
  /** Values at or below this are no values (a masked score) and are left clear. */
  masked?: number;
}

/** Read every row once and return a source that holds them. */
export function readMatrix(source: MatrixSource): MatrixSource {
  const { rows, columns, masked } = source;
  const held = Array.from({ length: rows }, (_, index) => source.row(index));
  return {
    rows,
    columns,
    row: (index) => held[index] ?? [],
    ...(masked === undefined ? {} : { masked }),
  };
}

export interface MatrixPixels {
  width: number;
  height: number;
  pixels: Uint8ClampedArray<ArrayBuffer>;
}

export function matrixPixels(
  source: MatrixSource,
  scale: ValueScale,
  theme: Theme,
  maxWidth: number,
  maxHeight: number,
): MatrixPixels {
  const width = Math.max(1, Math.min(source.columns, Math.floor(maxWidth)));
  const height = Math.max(1, Math.min(source.rows, Math.floor(maxHeight)));
  const ramp = rampFor(scale.kind, theme).rgba;
  const buffer = new ArrayBuffer(width * height * 4);
  const out = new Uint32Array(buffer);
  const floor = source.masked ?? -Infinity;
  if (width === source.columns && height === source.rows) {
    for (let y = 0; y < height; y++) {
      const row = source.row(y);
      const end = Math.min(width, row.length);
      for (let x = 0; x < end; x++) {
        const value = row[x] ?? 0;
        if (value > floor) out[y * width + x] = ramp[rampIndex(value, scale)] ?? 0;
      }
    }
  } else {
    const furthest = new Float32Array(width).fill(Number.NaN);
    let y = 0;
    for (let index = 0; index <= source.rows; index++) {
      const target = Math.floor((index * height) / source.rows);
      if (target !== y || index === source.rows) {
        for (let x = 0; x < width; x++) {
          const value = furthest[x] ?? Number.NaN;
          if (!Number.isNaN(value)) out[y * width + x] = ramp[rampIndex(value, scale)] ?? 0;
        }
        furthest.fill(Number.NaN);
        y = target;
      }
      if (index === source.rows) break;
      const row = source.row(index);
      const end = Math.min(source.columns, row.length);
      for (let column = 0; column < end; column++) {
        const value = row[column] ?? 0;
        if (!(value > floor)) continue;
        const x = Math.floor((column * width) / source.columns);
        const held = furthest[x] ?? Number.NaN;
        if (Number.isNaN(held) || Math.abs(value) > Math.abs(held)) furthest[x] = value;
      }
    }
  }
  return { width, height, pixels: new Uint8ClampedArray(buffer) };
}
