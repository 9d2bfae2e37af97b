// Views are folded, and one is shown alone, by mouse, keyboard and link; the address keeps both.
import { expect as plainExpect, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

async function opened(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('facts')).toBeAttached();
}

test('a folded view is its title and question, and a reload keeps it folded', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await expect(page.getByTestId('large-map')).toBeVisible();
  const fold = page.getByTestId('fold-attention');
  await expect(fold).toHaveAttribute('aria-expanded', 'true');
  await fold.focus();
  await page.keyboard.press('Enter');
  await expect(fold).toHaveAttribute('aria-expanded', 'false');
  await expect(fold).toBeFocused();
  await expect(page.getByTestId('large-map')).toHaveCount(0);
  await expect(page.locator('#attention').getByRole('heading')).toHaveText(['Attention']);
  await expect(page.locator('#attention')).toContainText('Where does each token look?');
  await expect(page).toHaveURL(/fold=attention/);
  await page.reload();
  await opened(page);
  await expect(page.getByTestId('large-map')).toHaveCount(0);
  // The list of views goes to it, and opens it on the way.
  await page.getByTestId('views').getByRole('button', { name: 'Attention' }).click();
  await expect(page.getByTestId('large-map')).toBeVisible();
  await expect(page.locator('#attention')).toBeFocused();
  await expect(page).not.toHaveURL(/fold=/);
});

test('a link shows one view alone, and all are a press away', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm&only=facts&fold=facts.lens');
  await opened(page);
  const views = page.locator('main > .view');
  await expect(views).toHaveCount(1);
  // Folded, it would be an empty page.
  await expect(page.getByTestId('facts')).toBeVisible();
  await page.getByTestId('views').getByRole('button', { name: 'Inside' }).click();
  await expect(views).toHaveCount(1);
  await expect(page).toHaveURL(/only=activations/);
  await page.getByTestId('all-views').click();
  await expect(page.locator('#attention')).toBeVisible();
  await expect(page).not.toHaveURL(/only=/);
});

test('a link to a view that is not there shows all and says so', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm&only=nowhere&fold=lens.elsewhere');
  await opened(page);
  await expect(page.getByTestId('large-map')).toBeVisible();
  const note = page.getByTestId('link-note');
  await expect(note).toContainText('view shown alone (only=nowhere)');
  await expect(note).toContainText('folded views (fold=elsewhere)');
  await expect(page.getByTestId('fold-lens')).toHaveAttribute('aria-expanded', 'false');
});
