// Heads are chosen and switched off by targets that a finger can hit (WCAG 2.2, 2.5.8), also where there are many.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { startBundleServer, type BundleServer } from './bundle_server';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
const SMALLEST = 24;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

/** A model with 25 heads, of whose 48 layers two are open. */
async function visitMany(page: Page): Promise<void> {
  await offer(page, { demo: 'demo/manifest.json', deep: bundles.url('deep-gpt2') });
  await page.goto('/#lang=en&on=wasm&model=deep&p=1+2+3+4+5');
  await answered(page);
}

async function answered(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

async function boxOf(target: Locator): Promise<{ x: number; y: number; w: number; h: number }> {
  const box = await target.boundingBox();
  if (box === null) throw new Error('the target is not there');
  return { x: box.x, y: box.y, w: box.width, h: box.height };
}

/** From the middle of one head's map to those of its neighbours across and down. */
async function pitch(page: Page): Promise<number[]> {
  const [first, across, down] = await Promise.all(
    ['head-0-0', 'head-0-1', 'head-47-0'].map((name) => boxOf(page.getByTestId(name))),
  );
  return [(across?.x ?? NaN) - (first?.x ?? NaN), (down?.y ?? NaN) - (first?.y ?? NaN)];
}

async function expectLargeEnough(target: Locator): Promise<void> {
  const { w, h } = await boxOf(target);
  expect(Math.min(w, h)).toBeGreaterThanOrEqual(SMALLEST);
}

test('of many heads each is far enough from the next, and the button in sight switches the chosen one', async ({
  page,
}) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await visitMany(page);
  for (const distance of await pitch(page)) expect(distance).toBeGreaterThanOrEqual(SMALLEST);
  await page.getByTestId('head-47-24').click();
  // No map has room for a switch of its own.
  await expect(page.locator('.switch')).toHaveCount(0);
  const toggle = page.getByTestId('toggle-head');
  await expect(toggle).toHaveText('Switch off layer 47, head 24');
  await expect(toggle).toBeInViewport();
  await expectLargeEnough(toggle);
  await toggle.click();
  await expect(page).toHaveURL(/off=47\.24(&|$)/);
});

for (const width of [700, 1000, 1440]) {
  test(`in a page ${width} wide, a switch in a map is large enough and leaves the map as much`, async ({
    page,
  }) => {
    await page.setViewportSize({ width, height: 900 });
    await page.goto('/#lang=en&on=wasm&h=11.1&p=The+dog+saw');
    await answered(page);
    await page.getByTestId('head-11-1').hover();
    const own = page.locator('.switch');
    await expect(own).toHaveCount(1);
    await expectLargeEnough(own);
    const [cell, inside] = [await boxOf(page.getByTestId('head-11-1')), await boxOf(own)];
    expect(cell.w - inside.w).toBeGreaterThanOrEqual(SMALLEST);
    expect(inside.x).toBeGreaterThanOrEqual(cell.x);
    expect(inside.x + inside.w).toBeLessThanOrEqual(cell.x + cell.w);
    expect(inside.y + inside.h).toBeLessThanOrEqual(cell.y + cell.h);
  });
}

test.describe('by touch', () => {
  test.use({ ownContext: true, hasTouch: true, viewport: { width: 390, height: 800 } });
  test('of many heads one is chosen and switched off with two taps', async ({ page }) => {
    await visitMany(page);
    for (const distance of await pitch(page)) expect(distance).toBeGreaterThanOrEqual(SMALLEST);
    const cell = page.getByTestId('head-47-9');
    await cell.scrollIntoViewIfNeeded();
    const { h: height } = await boxOf(page.locator('.onehead'));
    await cell.tap();
    const toggle = page.getByTestId('toggle-head');
    await expect(toggle).toHaveText('Switch off layer 47, head 9');
    await expect(page.getByTestId('shown-head')).toContainText('locked, a tap releases');
    // A taller heading would move what was tapped from under the finger.
    expect((await boxOf(page.locator('.onehead'))).h).toBe(height);
    // Both are in sight at once: the reader need not scroll from one to the other.
    await expect(cell).toBeInViewport();
    await expect(toggle).toBeInViewport();
    await expectLargeEnough(toggle);
    await toggle.tap();
    await expect(page).toHaveURL(/off=47\.9(&|$)/);
    await answered(page);
    await expect(cell).toContainText('off');
  });
});
