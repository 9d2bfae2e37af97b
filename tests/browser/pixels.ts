// Reads back what a canvas shows and compares it, colour by colour, with the numbers that it claims to show.
import { expect, type Locator, type Page } from '@playwright/test';
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
      if (alpha !== 255 || !isColourOf([red, green, blue], value, scale, theme))
        return `${cell} should show ${value}, is ${drawn}`;
    }
  return '';
}

/** Whether the ramp gives `value` this colour, or one a step beside it. */
function isColourOf(
  [red, green, blue]: readonly [number, number, number],
  value: number,
  scale: ValueScale,
  theme: Theme,
): boolean {
  const packed = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const wanted = rampIndex(value, scale);
  const { rgba } = rampFor(scale.kind, theme);
  return [wanted - 1, wanted, wanted + 1].some((index) => rgba[index] === packed);
}

/** Waits until the backgrounds of these elements, in their order, are the colours of `values`; null is none at all. */
export async function expectBackgrounds(
  elements: Locator,
  values: readonly (number | null)[],
  scale: ValueScale,
  theme: Theme,
  message: string,
): Promise<void> {
  await expect
    .poll(
      async () => {
        const drawn = await elements.evaluateAll((all) =>
          all.map((element) => getComputedStyle(element).backgroundColor),
        );
        if (drawn.length !== values.length) return `${drawn.length} marks, not ${values.length}`;
        const wrong = values.findIndex((value, index) => {
          const [red = NaN, green = NaN, blue = NaN, alpha = 1] = (
            drawn[index]?.match(/[\d.]+/g) ?? []
          ).map(Number);
          if (value === null) return alpha !== 0;
          return alpha !== 1 || !isColourOf([red, green, blue], value, scale, theme);
        });
        return wrong < 0 ? '' : `mark ${wrong} should show ${values[wrong]}, is ${drawn[wrong]}`;
      },
      { message, timeout: 30_000 },
    )
    .toBe('');
}

/** Waits until each of these bars fills its share of its track, to a pixel. */
export async function expectFilled(
  bars: Locator,
  shares: readonly number[],
  message: string,
): Promise<void> {
  await expect
    .poll(
      async () => {
        const drawn = await bars.evaluateAll((all) =>
          all.map((bar) => {
            const track = bar.parentElement?.getBoundingClientRect().width ?? NaN;
            return [bar.getBoundingClientRect().width, track] as const;
          }),
        );
        if (drawn.length !== shares.length) return `${drawn.length} bars, not ${shares.length}`;
        const wrong = drawn.findIndex(
          ([filled, track], index) => !(Math.abs(filled - (shares[index] ?? NaN) * track) <= 1),
        );
        return wrong < 0
          ? ''
          : `bar ${wrong} should fill ${shares[wrong]}, fills ${drawn[wrong]?.join(' of ')}`;
      },
      { message, timeout: 30_000 },
    )
    .toBe('');
}

/**
 * Brings a canvas into the window if none of it is there: the page draws what is seen. Parts of the page above it may
 * still grow and push it out again, so ask anew before every look. One that is seen stays where it is under the pointer.
 */
async function bringIntoWindow(canvas: Locator): Promise<void> {
  await canvas.evaluate((element) => {
    const { top, bottom, left, right } = element.getBoundingClientRect();
    if (bottom <= 0 || top >= innerHeight || right <= 0 || left >= innerWidth)
      element.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
  });
}

/** Waits until the canvas shows `claim` while it is in the window. */
export async function expectDrawn(
  canvas: Locator,
  claim: Claim,
  scale: ValueScale,
  theme: Theme,
  message: string,
): Promise<void> {
  await expect
    .poll(
      async () => {
        await bringIntoWindow(canvas);
        return difference(await drawingOf(canvas), claim, scale, theme);
      },
      { message, timeout: 30_000 },
    )
    .toBe('');
}

/** The cells of a saved map, read from its SVG: fill and printed number by `row.column`. `top` is where the plot begins. */
export function cellsOf(svg: string): Map<string, { fill: string; number: string | null }> {
  const plot = /<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*fill="none"/.exec(svg);
  if (plot === null) throw new Error('the picture has no frame');
  const [left, top] = [Number(plot[1]), Number(plot[2])];
  const cells = new Map<string, { fill: string; number: string | null }>();
  const rects = [
    ...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*fill="(rgb[^"]+)"/g),
  ];
  const side = Number(rects[0]?.[3] ?? NaN);
  const place = (x: number, y: number): string =>
    `${Math.floor((y - top) / side)}.${Math.floor((x - left) / side)}`;
  for (const [, x = '', y = '', , fill = ''] of rects)
    cells.set(place(Number(x) + side / 2, Number(y) + side / 2), { fill, number: null });
  for (const [, x = '', y = '', number = ''] of svg.matchAll(
    /<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle"[^>]*>([^<]*)</g,
  )) {
    const cell = cells.get(place(Number(x), Number(y) - 4));
    if (cell === undefined) throw new Error(`the number ${number} stands in no cell`);
    cell.number = number;
  }
  return cells;
}

/** Says where a saved map differs from the claim; '' where it does not. `writes` checks a printed number. */
export function savedDifference(
  svg: string,
  claim: Claim,
  scale: ValueScale,
  theme: Theme,
  writes: (number: string, value: number) => boolean,
): string {
  const { css } = rampFor(scale.kind, theme);
  const cells = cellsOf(svg);
  for (const [y, row] of claim.entries())
    for (const [x, value] of row.entries()) {
      const cell = cells.get(`${y}.${x}`);
      if (value === null || cell === undefined) {
        if (cell !== undefined) return `row ${y}, column ${x} should be empty`;
        if (value !== null) return `row ${y}, column ${x} should show ${value}, is empty`;
        continue;
      }
      const wanted = rampIndex(value, scale);
      if (![wanted - 1, wanted, wanted + 1].some((index) => css[index] === cell.fill))
        return `row ${y}, column ${x} should show ${value}, is ${cell.fill}`;
      if (cell.number !== null && !writes(cell.number, value))
        return `row ${y}, column ${x} is ${value} and says ${cell.number}`;
    }
  return '';
}

/** The colours of a saved PNG where the SVG of the same map has its cells, by the cell's mark in the SVG. */
export async function pngColours(
  page: Page,
  png: Buffer,
  svg: string,
): Promise<Map<string, string>> {
  const spots = [
    ...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*fill="rgb[^"]+"/g),
  ];
  const colours = await page.evaluate(
    async ({ base64, points }) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext('2d');
      if (context === null) return [];
      context.drawImage(bitmap, 0, 0);
      return points.map(([x, y]) => {
        const [red, green, blue] = context.getImageData(2 * x, 2 * y, 1, 1).data;
        return `rgb(${red} ${green} ${blue})`;
      });
    },
    {
      base64: png.toString('base64'),
      // Under a pixel of a number's ink lies no colour of the cell: near the corner there is none.
      points: spots.map(([, x = '', y = '', side = '']): [number, number] => [
        Math.round(Number(x) + 0.12 * Number(side)),
        Math.round(Number(y) + 0.12 * Number(side)),
      ]),
    },
  );
  return new Map(spots.map(([rect], index) => [rect, colours[index] ?? '']));
}
