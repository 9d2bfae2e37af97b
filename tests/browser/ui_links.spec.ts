// A link shows its receiver the same thing in the receiver's own language; a page without its scripts says so.
import { expect as plainExpect, test } from '@playwright/test';

const expect = plainExpect.configure({ timeout: 30_000 });

test('a link carries no language, and the receiver’s own choice wins over one that does', async ({
  page,
}) => {
  await page.goto('/');
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await page.locator('#prompt').fill('The dog saw');
  await expect(page).toHaveURL(/p=The\+dog\+saw/);
  expect(page.url()).not.toContain('lang=');
  await page.goto('/#lang=zh&p=The+dog');
  await expect(page.locator('html')).toHaveAttribute('lang', /^zh/);
  await page.getByTestId('language').click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  expect(page.url()).not.toContain('lang=');
  await page.goto('about:blank');
  await page.goto('/#lang=zh&p=The+dog');
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
});

test('a page whose scripts are not found says so', async ({ page }) => {
  await page.route('**/main.ts*', (route) => route.fulfill({ status: 404, body: 'no' }));
  await page.goto('/');
  await expect(page.locator('body')).toContainText('the page’s scripts were not found');
  await expect(page.locator('body')).toContainText('没有找到本页的脚本');
});
