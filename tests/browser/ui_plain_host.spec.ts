// The page where a plain static host serves it: no cross-origin isolation, so one thread, and it says so.
import { expect as plainExpect } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

test('the page predicts without isolation and says what it lacks', async ({ page, baseURL }) => {
  await page.goto('/#lang=en&on=wasm');
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  const isolated = await page.evaluate(() => crossOriginIsolated);
  const facts = page.getByTestId('facts');
  await facts.scrollIntoViewIfNeeded();
  // The same test runs against the isolated server too: the sentence follows the fact.
  await expect(facts).toContainText(
    isolated ? 'the page is cross-origin isolated' : 'one only: the page is not cross-origin',
  );
  expect(baseURL).toBeDefined();
});
