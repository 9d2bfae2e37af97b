// Readers who set their own colours and text size: what carries meaning stays to be seen, and nothing is cut off.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

const hash = (lang: string): string =>
  `/#lang=${lang}&on=wasm&v=fp32&p=The+dog+saw+a+cat&h=5.2&t=3`;

async function opened(page: Page, lang: string, base = ''): Promise<void> {
  await page.goto(base + hash(lang));
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await page.getByTestId('activations').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('tap-layer_5_attn_probs')).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

const backgrounds = (of: Locator): Promise<string[]> =>
  of.evaluateAll((elements) =>
    elements.map((element) => {
      const { backgroundColor, backgroundImage } = getComputedStyle(element);
      return `${backgroundColor} ${backgroundImage}`;
    }),
  );

test('colours that the system forces leave data, choices and focus to be told apart', async ({
  page,
}) => {
  await page.emulateMedia({ forcedColors: 'active' });
  await opened(page, 'en');
  // By colour alone: a forced bar has the ground's colour, and its own transparency.
  const inkOf = (colour: string): string => (colour.match(/[\d.]+/g) ?? []).slice(0, 3).join(' ');
  const ground = inkOf(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
  const fills = await backgrounds(page.locator('[data-testid=candidate] .fill'));
  expect(fills.length).toBeGreaterThan(0);
  for (const fill of fills) expect(inkOf(fill)).not.toBe(ground);
  // The rest of the page grows while it is read.
  const different = (of: Locator) => async () => new Set(await backgrounds(of)).size;
  // As unlike as their probabilities are. The lens is opened once it is seen.
  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  const cells = page.getByTestId('lens').getByRole('gridcell');
  await expect.poll(different(cells)).toBeGreaterThan(10);
  await page.getByTestId('activations').scrollIntoViewIfNeeded();
  // Exported, open by tap, closed: three marks.
  const marks = page.locator('[data-testid^=tap-] > span');
  await expect.poll(different(marks)).toBeGreaterThanOrEqual(2);
  const outlined = (locator: Locator): Promise<boolean> =>
    locator.evaluate((element) => getComputedStyle(element).outlineStyle !== 'none');
  const chips = page.locator('[data-position]');
  await expect.poll(() => outlined(chips.nth(3))).toBe(true);
  expect(await outlined(chips.nth(1))).toBe(false);
  const kind = page.getByRole('button', { name: 'Probabilities' });
  await expect.poll(() => outlined(kind)).toBe(true);
  await page.keyboard.press('Tab');
  const focused = page.locator(':focus-visible');
  await expect.poll(() => outlined(focused)).toBe(true);
});

/** Of whatever ends beyond the window and can't be scrolled to. */
function cutOff(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const scrolls = (element: Element | null): boolean =>
      element !== null &&
      element !== document.body &&
      (getComputedStyle(element).overflowX !== 'visible' || scrolls(element.parentElement));
    const cut = [...document.querySelectorAll('body *')].filter((element) => {
      const { width, height, right, left } = element.getBoundingClientRect();
      const isOut = width > 1 && height > 1 && right > innerWidth + 1 && left >= 0;
      return isOut && !scrolls(element.parentElement);
    });
    return [
      ...(document.documentElement.scrollWidth > innerWidth ? ['the page scrolls sideways'] : []),
      ...cut.map(({ tagName, textContent }) => `${tagName} ${textContent.slice(0, 40)}`),
    ];
  });
}

for (const lang of ['en', 'zh'])
  test(`nothing is cut off at 320 pixels, ${lang}`, async ({ page }) => {
    await page.setViewportSize({ width: 320, height: 640 });
    await opened(page, lang);
    await expect.poll(() => cutOff(page)).toEqual([]);
  });

test('nothing is cut off with text of twice the size', async ({ page }) => {
  await page.addInitScript(() => {
    addEventListener('DOMContentLoaded', () => {
      document.documentElement.style.fontSize = '32px';
    });
  });
  await page.setViewportSize({ width: 640, height: 900 });
  await opened(page, 'en');
  for (const width of [1280, 1000, 640]) {
    await page.setViewportSize({ width, height: 900 });
    await expect.poll(() => cutOff(page), { message: `at ${width} pixels` }).toEqual([]);
  }
  // A row of the lens is as high as its text.
  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  const cell = page.getByTestId('lens').getByRole('gridcell').first();
  const heights = await cell.evaluate((element) => [element.clientHeight, element.scrollHeight]);
  expect(heights[1]).toBeLessThanOrEqual((heights[0] ?? 0) + 1);
});
