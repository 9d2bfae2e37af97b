// What is drawn is what was given: pixels, layout, curves, vector pictures, tables.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arcPath } from '../../apps/web/src/charts/arc_paths';
import { cellAt, clip, layoutAttention } from '../../apps/web/src/charts/attention_layout';
import {
  attentionSvg,
  cellNumber,
  cellPoints,
  cellScore,
} from '../../apps/web/src/charts/attention_svg';
import {
  colourOf,
  inkOn,
  placeOnRamp,
  valueAt,
  rampFor,
  rampIndex,
  type DataKind,
  type ValueScale,
} from '../../apps/web/src/charts/colour_ramps';
import { matrixPixels } from '../../apps/web/src/charts/matrix_pixels';
import { csvOf } from '../../apps/web/src/charts/table_text';

const weights: ValueScale = { kind: 'weight', limit: 1, root: false };
const signed: ValueScale = { kind: 'signed', limit: 2, root: false };

function luminance(packed: number): number {
  const channel = (byte: number): number => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return (
    0.2126 * channel(packed & 255) +
    0.7152 * channel((packed >> 8) & 255) +
    0.0722 * channel((packed >> 16) & 255)
  );
}

test.each(['weight', 'probability', 'magnitude'] as DataKind[])(
  'the %s ramp only grows darker in light and brighter in dark',
  (kind) => {
    const light = Array.from(rampFor(kind, 'light').rgba, luminance);
    const dark = Array.from(rampFor(kind, 'dark').rgba, luminance);
    for (let i = 1; i < 256; i++) {
      // One step of 8-bit rounding may go the other way.
      expect(light[i]).toBeLessThan((light[i - 1] ?? 0) + 0.004);
      expect(dark[i]).toBeGreaterThan((dark[i - 1] ?? 0) - 0.004);
    }
    expect((light[0] ?? 0) - (light[255] ?? 0)).toBeGreaterThan(0.7);
  },
);

test('a signed value and its opposite lie as far from the middle', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 5, noNaN: true }), fc.boolean(), (value, root) => {
      const scale = { ...signed, root };
      expect(placeOnRamp(value, scale) - 0.5).toBeCloseTo(0.5 - placeOnRamp(-value, scale), 12);
    }),
  );
  expect(placeOnRamp(0, signed)).toBe(0.5);
  expect(placeOnRamp(0.25, { ...weights, root: true })).toBe(0.5);
  // Four powers of ten: a hundredth is half way, and what is below the last is at the start.
  const log = { ...weights, root: true, decades: 4 };
  expect(placeOnRamp(0.01, log)).toBeCloseTo(0.5, 12);
  expect([placeOnRamp(1, log), placeOnRamp(1e-5, log), placeOnRamp(0, log)]).toEqual([1, 0, 0]);
  // The legend's ticks are the inverse.
  for (const scale of [weights, { ...weights, root: true }, log])
    expect(placeOnRamp(valueAt(0.3, scale), scale)).toBeCloseTo(0.3, 12);
});

test('one pixel per cell where they fit, clear where there is no value', () => {
  const rows = [[0.5], [0.25, 0.75]];
  const { width, height, pixels } = matrixPixels(
    { rows: 2, columns: 2, row: (i) => rows[i] ?? [], masked: 0 },
    weights,
    'light',
    100,
    100,
  );
  expect([width, height]).toEqual([2, 2]);
  const drawn = new Uint32Array(pixels.buffer);
  const { rgba } = rampFor('weight', 'light');
  expect(drawn[0]).toBe(rgba[rampIndex(0.5, weights)]);
  expect(drawn[1]).toBe(0);
  expect(drawn[2]).toBe(rgba[rampIndex(0.25, weights)]);
  expect(drawn[3]).toBe(rgba[rampIndex(0.75, weights)]);
});

test('where cells outnumber pixels, each pixel shows the value furthest from zero that it covers', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 23 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 11 }),
      fc.infiniteStream(fc.float({ min: -2, max: 2, noNaN: true })),
      (rows, columns, high, wide, stream) => {
        const values = Array.from({ length: rows }, () =>
          Array.from({ length: columns }, () => Math.fround(stream.next().value as number)),
        );
        const source = { rows, columns, row: (i: number) => Float32Array.from(values[i] ?? []) };
        const { width, height, pixels } = matrixPixels(source, signed, 'dark', wide, high);
        const drawn = new Uint32Array(pixels.buffer);
        const { rgba } = rampFor('signed', 'dark');
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++) {
            const covered = values.flatMap((row, i) =>
              Math.floor((i * height) / rows) === y
                ? row.filter((_, j) => Math.floor((j * width) / columns) === x)
                : [],
            );
            const most = Math.max(...covered.map(Math.abs));
            const right = covered.filter((value) => Math.abs(value) === most);
            expect(right.map((value) => rgba[rampIndex(value, signed)])).toContain(
              drawn[y * width + x],
            );
          }
      },
    ),
  );
});

test.each([1, 5, 14, 60, 256])('the axes of %i tokens fit and do not run into each other', (n) => {
  const layout = layoutAttention(
    Array.from({ length: n }, (_, i) => `␣token${i}`),
    560,
  );
  expect(layout.left + layout.side).toBeLessThanOrEqual(560);
  const places = layout.rowLabels.map((label) => label.position * layout.cell);
  places.slice(1).forEach((place, i) => {
    expect(place - (places[i] ?? 0)).toBeGreaterThanOrEqual(13);
  });
  expect(layout.showValues).toBe(n <= 14);
  const middle = layout.left + 0.5 * layout.cell;
  expect(cellAt(layout, middle, layout.top + layout.side - 0.5 * layout.cell)).toEqual({
    row: n - 1,
    column: 0,
  });
  expect(cellAt(layout, layout.left - 1, layout.top + 1)).toBeNull();
});

test('long labels are cut by width, wide characters counting twice', () => {
  expect(clip('short')).toBe('short');
  expect(clip('abcdefghijklmnop')).toBe('abcdefghijkl…');
  expect(clip('一二三四五六七八')).toBe('一二三四五六…');
});

test('numbers in cells never claim more than there is', () => {
  expect([0, 0.001, 0.004, 0.25, 0.996, 1].map(cellNumber)).toEqual([
    '',
    '·',
    '·',
    '.25',
    '.99',
    '1',
  ]);
});

test('curves start at the token that looks and end at the one looked at', () => {
  const box = (x: number, y: number) => ({ x, y, width: 20, height: 10 });
  const same = arcPath(box(100, 50), box(10, 50));
  expect(same).toMatch(/^M110\.0 50\.0C.* 20\.0 50\.0$/);
  const above = arcPath(box(100, 90), box(10, 50));
  expect(above).toMatch(/^M110\.0 90\.0C.* 20\.0 60\.0$/);
});

test('a vector picture is well-formed whatever the tokens are', () => {
  const layout = layoutAttention(['<img src=x onerror="x">', '&\u0000]]>'], 400);
  const svg = attentionSvg({
    layout,
    perCell: 1,
    title: '<script>&',
    caption: ['<script>&'],
    row: (i) => [0.5, 0.25].slice(0, i + 1),
    masked: 0,
    cellText: cellNumber,
    scale: weights,
    theme: 'light',
  });
  expect(svg).not.toMatch(/<(img|script)/);
  expect(svg).not.toContain('\u0000');
  expect(svg.match(/<rect/g)).toHaveLength(2 + 3);
  expect(svg).toContain('&lt;img src=x o…');
});

test('a saved map has every score, whatever its sign and size, and no masked cell', () => {
  const rows = [[-7.25], [27.34, -0.01], [0, 0.996, -31.5]];
  const layout = layoutAttention(['a', 'b', 'c'], 400);
  for (const theme of ['light', 'dark'] as const)
    for (const scale of [
      { kind: 'signed', limit: 31.5, root: false },
      { kind: 'signed', limit: 31.5, root: true },
    ] as const) {
      const svg = attentionSvg({
        layout,
        perCell: 1,
        title: 'scores',
        caption: [],
        row: (i) => [...(rows[i] ?? []), -3.4028235e38],
        masked: -1e30,
        cellText: cellScore,
        scale,
        theme,
      });
      const cells = [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)"[^>]* fill="(rgb[^"]+)"/g)];
      const found = cells.map(([, x = '', y = '', fill]) => ({
        row: Math.round((Number(y) - layout.top - 24) / layout.cell),
        column: Math.round((Number(x) - layout.left) / layout.cell),
        fill,
      }));
      expect(found).toEqual(
        rows.flatMap((values, row) =>
          values.map((value, column) => ({ row, column, fill: colourOf(value, scale, theme) })),
        ),
      );
      const numbers = [...svg.matchAll(/text-anchor="middle"[^>]*>([^<]*)</g)].map(([, n]) => n);
      expect(numbers).toEqual(['−7.3', '27.3', '0.0', '0.0', '1.0', '−31.5']);
    }
});

test('tables follow RFC 4180 and keep every digit', () => {
  expect(
    csvOf([
      ['a,b', 'say "x"', ' y'],
      [Math.fround(0.1), 1e-9, 3],
    ]),
  ).toBe('\ufeff"a,b","say ""x"""," y"\r\n0.10000000149011612,1e-9,3\r\n');
});

test('a number can be read on every colour of every ramp, in both themes', () => {
  const luminance = (rgb: readonly number[]): number => {
    const [red = 0, green = 0, blue = 0] = rgb.map((byte) => {
      const share = byte / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  for (const theme of ['light', 'dark'] as const)
    for (const kind of ['weight', 'probability', 'signed', 'magnitude'] as const)
      for (let value = kind === 'signed' ? -1 : 0; value <= 1; value += 1 / 512) {
        const scale = { kind, limit: 1, root: false };
        const ground = luminance(colourOf(value, scale, theme).match(/\d+/g)?.map(Number) ?? []);
        const ink = inkOn(value, scale, theme);
        const text = luminance([1, 3, 5].map((at) => Number.parseInt(ink.slice(at, at + 2), 16)));
        const contrast = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
        expect(contrast, `${kind} ${value} ${theme}`).toBeGreaterThanOrEqual(4.5);
      }
});

test('a table computes nothing when a spreadsheet opens it', () => {
  const names = ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '＝1', '-', 'a=1', "'=1"];
  expect(csvOf(names.map((name) => [name]))).toBe(
    `\ufeff'=1+1\r\n'+1\r\n'-1\r\n'@SUM(A1)\r\n'\t=1\r\n'＝1\r\n'-\r\na=1\r\n'=1\r\n`,
  );
  expect(csvOf([['\r=1']])).toBe(`\ufeff"'\r=1"\r\n`);
  expect(csvOf([[-1.5, -Infinity, -0.25]])).toBe('\ufeff-1.5,-Infinity,-0.25\r\n');
});

test('a difference in a cell has its sign, and as many digits as its map is wide', () => {
  expect([0.351, -0.008, -0.004, 0].map((d) => cellPoints(d, 0.35))).toEqual(['+35', '−1', '', '']);
  expect([0.0176, -0.0091, 0.0004].map((d) => cellPoints(d, 0.0176))).toEqual(['+1.8', '−.9', '']);
});
