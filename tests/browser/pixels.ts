// Reads back what a canvas shows and compares it, colour by colour, with the numbers that it claims to show.
import { expect, type Locator } from '@playwright/test';
import {
  rampFor,
  rampIndex,
  type Theme,
  type ValueScale,
} from '../../apps/web/src/charts/colour_ramps';

export interface Drawing {
  width: number;
  height: number;
  /** Red, green, blue, alpha of every pixel, row by row. */
  bytes: number[];
}

/** A matrix that a canvas should show; null is a cell that stays empty. */
export type Claim = readonly (readonly (number | null)[])[];

export async function drawingOf(canvas: Locator): Promise<Drawing> {
  return canvas.evaluate((element) => {
    const { width, height } = element as HTMLCanvasElement;
    const context = (element as HTMLCanvasElement).getContext('2d');
    if (context === null || width === 0 || height === 0) return { width, height, bytes: [] };
    return { width, height, bytes: [...context.getImageData(0, 0, width, height).data] };
  });
}

/** Says where the drawing differs from the claim by more than a step of the ramp; '' where it does not. One pixel a
 * cell. A step may differ, since floats round differently on the page. */
export function difference(
  drawing: Drawing,
  claim: Claim,
  scale: ValueScale,
  theme: Theme,
): string {
  const [high, wide] = [claim.length, claim[0]?.length ?? 0];
  if (drawing.height !== high || drawing.width !== wide)
    return `${drawing.width} × ${drawing.height} pixels for ${wide} × ${high} cells`;
  const { rgba } = rampFor(scale.kind, theme);
  for (const [y, row] of claim.entries())
    for (const [x, value] of row.entries()) {
      const at = 4 * (y * drawing.width + x);
      const [red = 0, green = 0, blue = 0, alpha = 0] = drawing.bytes.slice(at, at + 4);
      const drawn = `rgba(${red}, ${green}, ${blue}, ${alpha})`;
      const cell = `row ${y}, column ${x}`;
      if (value === null) {
        if (alpha !== 0) return `${cell} should be empty, is ${drawn}`;
        continue;
      }
      const packed = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
      const wanted = rampIndex(value, scale);
      const near = [wanted - 1, wanted, wanted + 1].map((index) => rgba[index]);
      if (alpha !== 255 || !near.includes(packed))
        return `${cell} should show ${value}, is ${drawn}`;
    }
  return '';
}

/** Waits until the canvas shows `claim`. */
export async function expectDrawn(
  canvas: Locator,
  claim: Claim,
  scale: ValueScale,
  theme: Theme,
  message: string,
): Promise<void> {
  await expect
    .poll(async () => difference(await drawingOf(canvas), claim, scale, theme), {
      message,
      timeout: 30_000,
    })
    .toBe('');
}
