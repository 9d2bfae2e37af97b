// A text with more tokens than a map has pixels: the page says how the map is pooled, and shows each part of it exactly, by
// mouse, keyboard and touch, on the page and in saved pictures.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import type { ValueScale } from '../../apps/web/src/charts/colour_ramps';
import { percent } from '../../apps/web/src/i18n/number_format';
import { startBundleServer, type BundleServer } from './bundle_server';
import {
  answered,
  largeMap,
  limitOf,
  probabilities,
  rootChosen,
  saved,
  scores,
  signedTo,
  weights,
  writesWeight,
} from './drawn_claims';
import { readFixtures } from './fixtures';
import { drawingOf, expectDrawn, pngColours, savedDifference, type Claim } from './pixels';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
const many = readFixtures('long-gpt2').prompt('many');
const tokens = many.ids.length;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

async function opened(page: Page, language = 'en', more = ''): Promise<void> {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.route('**/models/index.json', (route) =>
    route.fulfill({
      json: [{ name: 'long', path: bundles.url('long-gpt2'), architecture: 'gpt2', parameters: 1, bytes: 1 }], // prettier-ignore
    }),
  );
  await page.goto(`/#lang=${language}&on=wasm&h=1.1&p=${many.ids.join('+')}${more}`);
  await answered(page, tokens);
}

const text = (page: Page): Locator => page.getByTestId('large-window-text');
const bar = (page: Page): Locator => page.getByTestId('large-window');
const map = (page: Page): Locator => page.getByTestId('large-map');

/** `size` × `size` cells into one, with the value furthest from 0. */
function pooled(claim: Claim, size: number): Claim {
  const cells = Math.ceil(claim.length / size);
  return Array.from({ length: cells }, (_, y) =>
    Array.from({ length: cells }, (_, x) => {
      const covered = claim
        .slice(y * size, (y + 1) * size)
        .flatMap((row) => row.slice(x * size, (x + 1) * size))
        .filter((value) => value !== null);
      return covered.length === 0
        ? null
        : covered.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
    }),
  );
}

interface Part {
  rows: readonly [number, number];
  columns: readonly [number, number];
}

function partOf(claim: Claim, { rows, columns }: Part): Claim {
  return claim.slice(rows[0], rows[1] + 1).map((row) => row.slice(columns[0], columns[1] + 1));
}

/** The part that the page names; null while it says that all is shown. */
async function namedPart(page: Page): Promise<Part | null> {
  const said = (await text(page).textContent()) ?? '';
  const ends = /Tokens (\d+)–(\d+) looking at tokens (\d+)–(\d+), of 700\./.exec(said);
  if (ends === null) return null;
  const [, a = '', b = '', c = '', d = ''] = ends;
  return { rows: [Number(a), Number(b)], columns: [Number(c), Number(d)] };
}

/** Waits for a part other than the one before, and checks that it is drawn exactly. */
async function expectPart(
  page: Page,
  before: Part | null,
  claim: Claim,
  scale: ValueScale,
): Promise<Part> {
  await expect.poll(() => namedPart(page)).not.toEqual(before);
  const part = await namedPart(page);
  if (part === null) throw new Error(`no part is named: ${await text(page).textContent()}`);
  const named = `tokens ${part.rows.join('–')} to ${part.columns.join('–')}`;
  await expectDrawn(largeMap(page), partOf(claim, part), scale, 'light', named);
  return part;
}

/** The middle of the cell of a part, on the screen. */
async function middleOf(page: Page, part: Part, row: number, column: number) {
  const canvas = await largeMap(page).boundingBox();
  if (canvas === null) throw new Error('the map is not there');
  const cell = canvas.width / (part.rows[1] - part.rows[0] + 1);
  return {
    x: canvas.x + (column - part.columns[0] + 0.5) * cell,
    y: canvas.y + (row - part.rows[0] + 0.5) * cell,
  };
}

test('a map with more tokens than pixels says how it is pooled, and a part of it is exact', async ({
  page,
}) => {
  test.setTimeout(300_000);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await opened(page);
  const claim = probabilities(many, 1, 1);
  const scale = weights(await rootChosen(page));

  // Pooled: the picture is what its text says.
  await map(page).scrollIntoViewIfNeeded();
  await expect(text(page)).toContainText(/All 700 tokens\..*shows their largest value/);
  const said = /stands for (\d+) × (\d+) tokens/.exec((await text(page).textContent()) ?? '');
  const size = Number(said?.[1]);
  expect(size).toBeGreaterThan(1);
  expect(said?.[2]).toBe(said?.[1]);
  await expectDrawn(largeMap(page), pooled(claim, size), scale, 'light', `pooled by ${size}`);
  // The pointer reads the value that is drawn under it.
  const whole: Part = { rows: [0, tokens - 1], columns: [0, tokens - 1] };
  const block = [Math.floor(500 / size), Math.floor(200 / size)] as const;
  const canvasSide = (await largeMap(page).boundingBox())?.width ?? NaN;
  const box = await largeMap(page).boundingBox();
  const drawnCell = canvasSide / Math.ceil(tokens / size);
  await page.mouse.move(
    (box?.x ?? NaN) + (block[1] + 0.5) * drawnCell,
    (box?.y ?? NaN) + (block[0] + 0.5) * drawnCell,
  );
  await expect(page.getByTestId('large-reading')).toContainText(
    percent(pooled(claim, size)[block[0]]?.[block[1]] ?? NaN),
  );
  await expect(page.getByTestId('small-pooled')).toContainText('each pixel shows the largest');

  // A square drawn with the mouse, far from the diagonal.
  const from = await middleOf(page, whole, 600, 100);
  const to = await middleOf(page, whole, 639, 130);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await page.mouse.up();
  let part = await expectPart(page, null, claim, scale);
  expect(Math.abs(part.rows[0] - 600)).toBeLessThanOrEqual(1);
  expect(Math.abs(part.columns[0] - 100)).toBeLessThanOrEqual(1);
  expect(Math.abs(part.rows[1] - 639)).toBeLessThanOrEqual(2);
  await expect(text(page)).not.toContainText('stands for');
  // A drag locks no row.
  await expect(page.locator('.chip[aria-pressed=true]')).toHaveCount(0);

  // Closer, until the cells have their numbers and each token its label.
  for (const [closer] of [[20], [10], [8]] as const) {
    await bar(page).getByRole('button', { name: 'Closer' }).click();
    part = await expectPart(page, part, claim, scale);
    expect(part.rows[1] - part.rows[0] + 1).toBe(closer);
  }
  await expect(bar(page).getByRole('button', { name: 'Closer' })).toHaveAttribute(
    'aria-disabled',
    'true',
  );
  const labels = await map(page).locator('svg .label').allTextContents();
  const labelsOf = ([first, last]: readonly [number, number]): string[] =>
    many.ids.slice(first, last + 1).map((id) => `#${id}`);
  expect(labels.map((label) => label.trim())).toEqual([
    ...labelsOf(part.rows),
    ...labelsOf(part.columns),
  ]);
  const numbers = await map(page).locator('svg .value').allTextContents();
  const values = partOf(claim, part).flat().filter((value) => value !== null); // prettier-ignore
  expect(numbers).toHaveLength(values.length);
  for (const [at, number] of numbers.entries())
    expect(writesWeight(number, values[at] ?? NaN), `${number} for ${values[at]}`).toBe(true);

  // The reading under the pointer.
  const [row, column] = [part.rows[0] + 3, part.columns[0] + 5];
  const cell = await middleOf(page, part, row, column);
  await page.mouse.move(cell.x, cell.y);
  await expect(page.getByTestId('large-reading')).toContainText(
    percent(claim[row]?.[column] ?? NaN),
  );

  // Moving by buttons.
  await bar(page).getByRole('button', { name: 'Move right' }).click();
  let next = await expectPart(page, part, claim, scale);
  expect(next).toEqual({
    rows: part.rows,
    columns: [part.columns[0] + 4, part.columns[1] + 4],
  });
  await bar(page).getByRole('button', { name: 'Move up' }).click();
  next = await expectPart(page, next, claim, scale);
  expect(next.rows).toEqual([part.rows[0] - 4, part.rows[1] - 4]);

  // Another head in the same part, then all of it.
  await page.getByTestId('head-0-0').click();
  await expectDrawn(
    largeMap(page),
    partOf(probabilities(many, 0, 0), next),
    scale,
    'light',
    'another head in the same part',
  );
  await bar(page).getByRole('button', { name: 'Whole map' }).click();
  await expect(text(page)).toContainText('All 700 tokens.');
  await expectDrawn(largeMap(page), pooled(probabilities(many, 0, 0), size), scale, 'light', 'all');

  // The wheel alone scrolls the page; with Ctrl it zooms about the pointer.
  const low = await middleOf(page, whole, 650, 30);
  await page.mouse.move(low.x, low.y);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -200);
  await page.keyboard.up('Control');
  next = await expectPart(page, null, probabilities(many, 0, 0), scale);
  expect(next.rows[0]).toBeGreaterThan(300);
  expect(next.columns[0]).toBeLessThan(30);
});

test('the keyboard looks closer, moves and goes back', async ({ page }) => {
  test.setTimeout(240_000);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await opened(page);
  const claim = scores(many, 1, 1);
  await page.getByRole('button', { name: 'Raw scores' }).click();
  await answered(page, tokens);
  const scale = signedTo(limitOf(claim), await rootChosen(page));
  await expect(text(page)).toContainText('shows their value furthest from 0');
  const size = Number(/stands for (\d+)/.exec((await text(page).textContent()) ?? '')?.[1]);
  await map(page).focus();
  await expectDrawn(largeMap(page), pooled(claim, size), scale, 'light', `pooled by ${size}`);

  // The row looked at is the last one at first.
  await page.keyboard.press('ArrowRight');
  let part: Part | null = null;
  for (let press = 0; press < 4; press++) await page.keyboard.press('+');
  await expect.poll(async () => (await namedPart(page))?.rows).toEqual([656, 699]);
  part = await expectPart(page, part, claim, scale);
  expect(part.columns[0]).toBeLessThanOrEqual(1);
  // The part follows the cell that the arrows reach.
  await page.keyboard.press('End');
  part = await expectPart(page, part, claim, scale);
  expect(part.columns).toEqual([656, 699]);
  await page.keyboard.press('PageUp');
  await page.keyboard.press('Home');
  await expect.poll(() => namedPart(page)).toEqual({ rows: [0, 43], columns: [0, 43] });
  part = await expectPart(page, part, claim, scale);
  await page.keyboard.press('-');
  part = await expectPart(page, part, claim, scale);
  expect(part.rows).toEqual([0, 87]);
  // Enter locks a row; Escape first goes back to the whole map, and then lets go.
  await page.keyboard.press('Enter');
  await expect(page.locator('.chip[aria-pressed=true]')).toHaveCount(1);
  await page.keyboard.press('Escape');
  await expect(text(page)).toContainText('All 700 tokens.');
  await expect(page.locator('.chip[aria-pressed=true]')).toHaveCount(1);
  await expectDrawn(largeMap(page), pooled(claim, size), scale, 'light', 'the whole again');
  await page.keyboard.press('Escape');
  await expect(page.locator('.chip[aria-pressed=true]')).toHaveCount(0);
});

test('a link shows the part that it was made from, kept inside the text and whichever head is shown', async ({
  page,
}) => {
  test.setTimeout(240_000);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await opened(page, 'en', '&z=600.100.40');
  const claim = probabilities(many, 1, 1);
  const scale = weights(await rootChosen(page));
  const named = await expectPart(page, null, claim, scale);
  expect(named).toEqual({ rows: [600, 639], columns: [100, 139] });
  await page.getByTestId('head-0-0').click();
  await expect(page).toHaveURL(/[#&]h=0\.0(&|$)/);
  await expect(page).toHaveURL(/[#&]z=600\.100\.40(&|$)/);
  await bar(page).getByRole('button', { name: 'Closer' }).click();
  const closer = await expectPart(page, named, probabilities(many, 0, 0), scale);
  const z = [closer.rows[0], closer.columns[0], closer.rows[1] - closer.rows[0] + 1].join('.');
  await expect.poll(() => new URLSearchParams(new URL(page.url()).hash.slice(1)).get('z')).toBe(z);
  const link = page.url();

  // One that leads beyond the text, pasted into the same tab; then the link in a tab of its own.
  await page.evaluate(() => {
    location.hash = location.hash.replace(/z=[\d.]+/, 'z=999999.0.20');
  });
  await expect.poll(() => namedPart(page)).toEqual({ rows: [680, 699], columns: [0, 19] });
  await page.goto('about:blank');
  await page.goto(link);
  await answered(page, tokens);
  await expect.poll(() => namedPart(page)).toEqual(closer);
  await bar(page).getByRole('button', { name: 'Whole map' }).click();
  await expect(page).not.toHaveURL(/[#&]z=/);
});

test('a saved picture says which part it shows and how it is pooled', async ({ page }) => {
  test.setTimeout(240_000);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await opened(page);
  const claim = probabilities(many, 1, 1);
  const scale = weights(await rootChosen(page));
  const whole = (await saved(page, 'SVG')).toString('utf8');
  const size = Number(/One drawn cell stands for (\d+) × \1 tokens/.exec(whole)?.[1]);
  expect(whole).toContain('All 700 tokens.');
  expect(savedDifference(whole, pooled(claim, size), scale, 'light', writesWeight)).toBe('');

  await map(page).focus();
  for (let press = 0; press < 6; press++) await page.keyboard.press('+');
  const part = await expectPart(page, null, claim, scale);
  const svg = (await saved(page, 'SVG')).toString('utf8');
  expect(svg).toContain(`>${((await text(page).textContent()) ?? '').trim()}<`);
  expect(svg).not.toContain('stands for');
  expect(savedDifference(svg, partOf(claim, part), scale, 'light', writesWeight)).toBe('');
  for (const [rect, colour] of await pngColours(page, await saved(page, 'PNG'), svg))
    expect(rect).toContain(`fill="${colour}"`);
});

test.describe('by touch', () => {
  test.use({ ownContext: true, hasTouch: true, viewport: { width: 390, height: 800 } });
  test('a finger chooses a cell, looks closer about it, and moves', async ({ page }) => {
    test.setTimeout(240_000);
    await opened(page, 'zh');
    const claim = probabilities(many, 1, 1);
    const scale = weights(await rootChosen(page));
    await map(page).scrollIntoViewIfNeeded();
    await expect(text(page)).toContainText(/全部 700 个词元。每个色块代表 (\d+) × \1 个词元/);
    const canvas = await largeMap(page).boundingBox();
    await largeMap(page).tap({
      position: { x: (canvas?.width ?? 0) * 0.2, y: (canvas?.height ?? 0) * 0.9 },
      force: true,
    });
    const part = async (): Promise<Part> => {
      const [, a, b, c, d] = /第 (\d+)–(\d+) 个词元看向第 (\d+)–(\d+) 个/.exec((await text(page).textContent()) ?? '') ?? []; // prettier-ignore
      return { rows: [Number(a), Number(b)], columns: [Number(c), Number(d)] };
    };
    for (let press = 0; press < 4; press++)
      await bar(page).getByRole('button', { name: '放大' }).tap();
    await expect.poll(async () => (await part()).rows[0]).toBeGreaterThan(560);
    let shown = await part();
    expect(shown.columns[0]).toBeLessThan(150);
    await expectDrawn(largeMap(page), partOf(claim, shown), scale, 'light', 'about the finger');
    const before = shown.columns[0];
    await bar(page).getByRole('button', { name: '左移' }).tap();
    await expect.poll(async () => (await part()).columns[0]).toBeLessThan(before);
    shown = await part();
    await expectDrawn(largeMap(page), partOf(claim, shown), scale, 'light', 'moved to the left');
    await bar(page).getByRole('button', { name: '整张图' }).tap();
    await expect(text(page)).toContainText('全部 700 个词元。');
    await expect.poll(async () => (await drawingOf(largeMap(page))).width).toBeLessThan(tokens);
  });

  type Point = readonly [x: number, y: number];
  /** Fingers on the screen, as a touch screen reports them: each goes from its first place to its second and is lifted. */
  async function drag(
    page: Page,
    fingers: readonly (readonly [from: Point, to: Point])[],
  ): Promise<void> {
    const devtools = await page.context().newCDPSession(page);
    const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', along: number) =>
      devtools.send('Input.dispatchTouchEvent', {
        type,
        touchPoints:
          type === 'touchEnd'
            ? []
            : fingers.map(([from, to], id) => ({
                x: from[0] + along * (to[0] - from[0]),
                y: from[1] + along * (to[1] - from[1]),
                id,
              })),
      });
    await send('touchStart', 0);
    const steps = 8;
    for (let step = 1; step <= steps; step++) await send('touchMove', step / steps);
    await send('touchEnd', 1);
    await devtools.detach();
  }

  test('two fingers zoom and move the map; one scrolls the page, or reads cells', async ({
    page,
  }) => {
    test.setTimeout(240_000);
    await opened(page);
    const claim = probabilities(many, 1, 1);
    const scale = weights(await rootChosen(page));
    await expect(text(page)).toContainText('All 700 tokens.');
    const scrolled = (): Promise<number> => page.evaluate(() => scrollY);
    /** The middle of the plot in the middle of the window, whatever has grown above it. */
    const middle = async (): Promise<{ x: number; y: number; side: number }> => {
      await largeMap(page).evaluate((canvas) => {
        canvas.scrollIntoView({ block: 'center', behavior: 'instant' });
      });
      const box = await largeMap(page).boundingBox();
      if (box === null) throw new Error('the map is not there');
      // A touch screen knows whole pixels, which stand for several tokens here.
      const [x, y] = [box.x + box.width / 2, box.y + box.height / 2].map(Math.round);
      return { x: x ?? NaN, y: y ?? NaN, side: box.width };
    };

    // Spread to four times as far, about a quarter of the map's side below and left of its middle.
    let { x, y, side } = await middle();
    const before = await scrolled();
    const [left, low] = [Math.round(x - side / 4), Math.round(y + side / 4)];
    await drag(page, [
      [[left - 10, low], [left - 40, low]], // prettier-ignore
      [[left + 10, low], [left + 40, low]], // prettier-ignore
    ]);
    let part = await expectPart(page, null, claim, scale);
    expect(part.rows[1] - part.rows[0] + 1).toBe(175);
    // The token that was under the fingers is as far along the part as it was along the map.
    expect(Math.abs(part.rows[0] + 0.75 * 175 - 0.75 * tokens)).toBeLessThan(6);
    expect(Math.abs(part.columns[0] + 0.25 * 175 - 0.25 * tokens)).toBeLessThan(6);
    expect(await scrolled()).toBe(before);

    // Both to the right and down, as far apart as before: the part moves the other way.
    ({ x, y, side } = await middle());
    const there = await scrolled();
    const far = Math.round(side / 5);
    await drag(page, [
      [[x - 30, y], [x - 30 + far, y + far]], // prettier-ignore
      [[x + 30, y], [x + 30 + far, y + far]], // prettier-ignore
    ]);
    const next = await expectPart(page, part, claim, scale);
    expect(next.rows[1] - next.rows[0] + 1).toBe(175);
    expect(Math.abs(part.rows[0] - next.rows[0] - 35)).toBeLessThan(3);
    expect(Math.abs(part.columns[0] - next.columns[0] - 35)).toBeLessThan(3);
    expect(await scrolled()).toBe(there);
    part = next;

    // One finger upwards: the page goes on, the map stays as it is.
    ({ x, y } = await middle());
    const from = await scrolled();
    await drag(page, [[[x, y + 100], [x, y - 100]]]); // prettier-ignore
    await expect.poll(scrolled).toBeGreaterThan(from + 50);
    expect(await namedPart(page)).toEqual(part);

    // One finger sideways: it reads the cells on its way, and marks and chooses nothing.
    ({ x, y, side } = await middle());
    await drag(page, [[[x - side / 3, y], [x + side / 4, y]]]); // prettier-ignore
    const row = part.rows[0] + 87;
    await expect(page.getByTestId('large-reading')).toContainText(`#${many.ids[row]}`);
    expect(await namedPart(page)).toEqual(part);
    await expect(map(page).locator('.marked')).toHaveCount(0);
    await expect(page.locator('.chip[aria-pressed=true]')).toHaveCount(0);

    // Together: the whole map again.
    ({ x, y } = await middle());
    await drag(page, [
      [[x - 80, y], [x - 10, y]], // prettier-ignore
      [[x + 80, y], [x + 10, y]], // prettier-ignore
    ]);
    await expect(text(page)).toContainText('All 700 tokens.');
  });
});
