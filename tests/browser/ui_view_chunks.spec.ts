// A view whose file does not come says so, leaves the others as they are, and comes when it is requested again.
import { expect as plainExpect } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

for (const [language, sentence] of [
  ['en', 'could not be loaded'],
  ['zh', '没有加载成功'],
] as const)
  test(`a view that could not be loaded is told and comes later (${language})`, async ({
    page,
  }) => {
    const file = '**/LensView.js';
    await page.route(file, (route) => route.abort());
    await page.goto(`/#lang=${language}&p=The+dog+saw`);
    await expect(page.getByTestId('facts')).toBeAttached();
    await expect(page.getByTestId('large-map')).toBeVisible();
    const failed = page.getByTestId('view-failed');
    await expect(failed).toHaveCount(1);
    await expect(failed).toContainText(sentence);
    await expect(page.getByTestId('lens')).toHaveCount(0);
    // Still out of reach.
    await failed.getByRole('button').first().click();
    await expect(failed).toHaveCount(1);
    await page.unroute(file);
    await failed.getByRole('button').first().click();
    await expect(page.getByTestId('lens')).toBeAttached();
    await expect(failed).toHaveCount(0);
  });
