// A link shows its receiver the same thing in the receiver's own language; a page without its scripts says so.
import { expect as plainExpect } from '@playwright/test';
import { test } from './shared_context';

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

test('a link says what the page ignored of it, in both languages, until the note is closed', async ({
  page,
}) => {
  await page.goto('/#lang=en&p=The+dog+saw&t=1&h=2&z=1.2&whatever=3');
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  // The rest is opened.
  await expect(page.locator('#prompt')).toHaveValue('The dog saw');
  await expect(page).toHaveURL(/[#&]t=1(&|$)/);
  const note = page.getByTestId('link-note');
  await expect(note).toContainText('could not read a part of this link');
  await expect(note).toContainText('head (h=2); part of the map (z=1.2); whatever=3');
  await page.getByTestId('language').click();
  await expect(note).toContainText(
    '此链接有一部分无法读取，已忽略：注意力头（h=2）；注意力图的局部（z=1.2）；whatever=3。',
  );
  await page.getByTestId('link-note-close').click();
  await expect(note).toHaveCount(0);
  await expect(page).not.toHaveURL(/whatever/);
});

test('a link to a variant, head, token or activation that the model lacks says so', async ({
  page,
}) => {
  await page.goto('/#lang=en&p=The+dog&vs=nowhere&h=77.0&t=99&off=5.1_66.2&a=layer_99_mlp_act');
  const note = page.getByTestId('link-note');
  await expect(note).toContainText('of another model or text');
  for (const field of ['vs=nowhere', 'h=77.0', 't=99', 'off=66.2', 'a=layer_99_mlp_act'])
    await expect(note).toContainText(`(${field})`);
  await expect(note).not.toContainText('off=5.1');
  await expect(page.getByTestId('off-badge')).toBeVisible();
  await expect(page).not.toHaveURL(/[#&](vs|h|t|a)=/);
  await expect(page).toHaveURL(/[#&]off=5\.1(&|$)/);
  // A link without a fault takes the note away.
  await page.evaluate(() => {
    location.hash = '#lang=en&p=The+dog&t=1';
  });
  await expect(note).toHaveCount(0);
});

test('a link of a later version of the page is opened and says that it is', async ({ page }) => {
  await page.goto('/#link=2&lang=en&p=The+dog');
  await expect(page.getByTestId('link-note')).toContainText('newer version of this page');
  await expect(page.locator('#prompt')).toHaveValue('The dog');
});

test('a page whose scripts are not found says so', async ({ page }) => {
  await page.route('**/assets/index.js', (route) => route.fulfill({ status: 404, body: 'no' }));
  await page.goto('/');
  await expect(page.locator('body')).toContainText('the page’s scripts were not found');
  await expect(page.locator('body')).toContainText('没有找到本页的脚本');
});
