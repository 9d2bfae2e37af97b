// The upright headings of the table "Inside" in Chromium; the nightly tours measure the same in Firefox and WebKit.
import { expect as plainExpect } from '@playwright/test';
import { test } from './shared_context';
import { faultsOf, readHeadings } from './table_headings';

const expect = plainExpect.configure({ timeout: 30_000 });

test('headings read from bottom to top, each over its own column', async ({ page }) => {
  await page.goto('/#lang=en');
  const table = page.locator('.panel thead');
  // Views are made as they come into sight.
  await expect(async () => {
    await page.mouse.wheel(0, 400);
    await expect(table).toBeVisible({ timeout: 500 });
  }).toPass();
  const headings = await page.evaluate(readHeadings);
  expect(headings.length).toBeGreaterThan(8);
  expect(faultsOf(headings)).toEqual([]);
});
