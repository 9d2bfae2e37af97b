// What somebody sees who has never been here: the ways on are in sight, pointing shows something, words are plain.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

const SIZES = [
  { width: 1440, height: 900 },
  { width: 1024, height: 768 },
  { width: 768, height: 1024 },
  { width: 390, height: 844 },
];

async function opened(page: Page, language = 'en'): Promise<void> {
  await page.goto(`/#lang=${language}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('large-map')).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** The share of an element's area that is inside the window. */
async function shareInSight(element: Locator): Promise<number> {
  return await element.evaluate((node) => {
    const box = node.getBoundingClientRect();
    const across = Math.min(box.right, innerWidth) - Math.max(box.left, 0);
    const down = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
    return (Math.max(0, across) * Math.max(0, down)) / (box.width * box.height);
  });
}

for (const size of SIZES)
  test(`at ${size.width} × ${size.height}, Generate is in sight and a head that is pointed at shows large`, async ({
    page,
  }) => {
    await page.setViewportSize(size);
    for (const language of ['zh', 'en']) {
      await opened(page, language);
      expect(await shareInSight(page.getByTestId('play'))).toBe(1);
    }
    for (const head of ['0-0', '5-3', '11-2']) {
      const small = page.getByTestId(`head-${head}`);
      // As far down as the reader may have gone with the small map still in sight.
      await small.evaluate((node) => {
        node.scrollIntoView({ block: 'center', behavior: 'instant' });
      });
      await small.hover();
      const [layer, number] = head.split('-');
      await expect(page.getByTestId('shown-head')).toContainText(
        `Layer ${layer ?? ''}, head ${number ?? ''}`,
      );
      expect(await shareInSight(page.getByTestId('large-map').locator('canvas'))).toBeGreaterThan(
        0.85,
      );
      expect(await shareInSight(small)).toBeGreaterThan(0.9);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(
      size.width,
    );
  });

test('the first example leaves the model several ways on', async ({ page }) => {
  await opened(page);
  const shares = await page
    .getByTestId('candidate')
    .evaluateAll((rows) => rows.map((row) => Number((row as HTMLElement).dataset['probability'])));
  expect(Math.max(...shares)).toBeLessThan(0.6);
  expect(shares.filter((share) => share > 0.03).length).toBeGreaterThanOrEqual(5);
});

test('the first words are plain; what is technical is one click behind them', async ({ page }) => {
  await opened(page);
  const brief = page.getByTestId('model-in-brief');
  await expect(brief).toContainText('2.9 million parameters');
  await expect(brief).toContainText('made-up, simple English');
  for (const technical of [page.getByTestId('fidelity'), page.getByTestId('choice-reason')])
    await expect(technical).toBeHidden();
  await page.getByText('Runs as fp32 on WebAssembly').click();
  await expect(page.getByTestId('fidelity')).toContainText('verified against PyTorch');
  await expect(page.getByTestId('variants-toggle')).toHaveText('Change variant');
  await expect(page.getByTestId('to-compare')).toHaveText('Compare variants');
});

test('no sentence is set smaller than 14 pixels', async ({ page }) => {
  for (const language of ['en', 'zh']) {
    await opened(page, language);
    await page.getByTestId('variants-toggle').click();
    await page.getByTestId('facts').scrollIntoViewIfNeeded();
    await expect(page.getByTestId('strip')).toBeVisible();
    const small = await page.evaluate(
      (least) => {
        const found: string[] = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
          const text = node.textContent?.trim() ?? '';
          const element = node.parentElement;
          if (text.length < least || !element?.checkVisibility()) continue;
          if (parseFloat(getComputedStyle(element).fontSize) < 14) found.push(text);
        }
        return found;
      },
      language === 'en' ? 24 : 10,
    );
    expect(small).toEqual([]);
  }
});
