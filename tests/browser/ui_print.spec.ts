// The page on paper: every view drawn and whole, seen before or not, in one column and light colours.
import { expect as plainExpect, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
const PAPER = 700;
/** Longer than paper is wide. */
const LONG =
  'When Mary and John went to the shop, John gave a book to Mary. The keys on the shelf were old.';

async function opened(page: Page, hash: string): Promise<void> {
  await page.goto(`/#lang=en&${hash}`);
  await expect(page.getByTestId('large-map')).toBeVisible();
  await expect(page.getByTestId('facts')).toBeAttached();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** The colour in the middle of each cell of each canvas, by what the canvas shows. */
async function coloursOf(page: Page, tokens: number): Promise<Record<string, string[]>> {
  return await page.evaluate((cells) => {
    const colours: Record<string, string[]> = {};
    for (const holder of document.querySelectorAll(
      '[data-testid^="head-"], [data-testid$="-map"]',
    )) {
      const canvas = holder.querySelector('canvas');
      const name = holder instanceof HTMLElement ? (holder.dataset['testid'] ?? '') : '';
      const context = canvas?.getContext('2d');
      if (!canvas || !context) continue;
      const { width, height } = canvas;
      const pixels = context.getImageData(0, 0, width, height).data;
      colours[name] = Array.from({ length: cells * cells }, (_, cell) => {
        const x = Math.floor(((cell % cells) + 0.5) * (width / cells));
        const y = Math.floor((Math.floor(cell / cells) + 0.5) * (height / cells));
        return pixels.slice((y * width + x) * 4, (y * width + x) * 4 + 4).join(',');
      });
    }
    return colours;
  }, tokens);
}

test('every map is drawn on paper as it is on the screen, before it was seen', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await opened(page, 'vs=q4');
  await page.getByTestId('difference').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('difference-map')).toBeVisible();
  await page.getByTestId('head-11-3').scrollIntoViewIfNeeded();
  await expect.poll(async () => Object.keys(await coloursOf(page, 10)).length).toBe(14);
  await page.getByTestId('large-map').scrollIntoViewIfNeeded();
  await expect
    .poll(async () => new Set((await coloursOf(page, 10))['large-map']).size)
    .toBeGreaterThan(10);
  const onScreen = await coloursOf(page, 10);

  // Anew and in dark colours: what is below the window has not been drawn yet.
  await page.setViewportSize({ width: 1440, height: 300 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto('about:blank');
  await opened(page, 'vs=q4');
  await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  const onPaper = await coloursOf(page, 10);
  for (const name of Object.keys(onScreen).filter((shown) => shown !== 'difference-map'))
    expect(onPaper[name], name).toEqual(onScreen[name]);
  await expect(page.getByTestId('strip')).toBeVisible();

  await page.emulateMedia({ colorScheme: 'dark', media: 'screen' });
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('html')).not.toHaveClass(/printing/);
});

for (const text of ['', LONG])
  test(`nothing is cut off or printed over${text === '' ? '' : ', with a long text'}`, async ({
    page,
  }) => {
    await opened(page, text === '' ? '' : `p=${encodeURIComponent(text)}`);
    await page.getByTestId('variants-toggle').click();
    await page.getByTestId('lens').scrollIntoViewIfNeeded();
    await expect(page.getByTestId('lens-reading')).toBeVisible();
    await page.emulateMedia({ media: 'print' });
    await expect(page.locator('html')).toHaveClass(/printing/);
    const wrong = await page.evaluate((width) => {
      const found: string[] = [];
      const tell = (what: string, element: Element): void => {
        found.push(
          `${what}: ${element.tagName} ${element.getAttribute('class') ?? ''} ${element.textContent.slice(0, 40)}`,
        );
      };
      for (const element of document.querySelectorAll('.page, .page *')) {
        if (!element.checkVisibility() || element.closest('.unseen, option') !== null) continue;
        const box = element.getBoundingClientRect();
        if (box.width > 0 && box.right > width + 1) tell('beyond the paper', element);
        const style = getComputedStyle(element);
        if (style.position === 'fixed' || style.position === 'sticky')
          tell('on every page', element);
        const scrolls = /auto|scroll/.test(style.overflowX + style.overflowY);
        if (
          scrolls &&
          (element.scrollHeight > element.clientHeight + 1 ||
            element.scrollWidth > element.clientWidth + 1)
        )
          tell('must be scrolled', element);
      }
      const parts = Array.from(document.querySelectorAll('.rail > *, main > *')).filter((part) =>
        part.checkVisibility(),
      );
      parts.forEach((part, at) => {
        const next = parts[at + 1];
        if (
          next !== undefined &&
          next.getBoundingClientRect().top < part.getBoundingClientRect().bottom - 1
        )
          tell('printed over', next);
      });
      return found;
    }, PAPER);
    expect(wrong).toEqual([]);
    const tokens = await page.locator('.chip').count();
    // All columns of the lens, in as many rows as they take.
    await expect(page.getByTestId('lens').locator('.input')).toHaveCount(tokens);
    await expect(page.locator('footer .address')).toHaveText(page.url());
  });
