// What is read on a button is in its accessible name (WCAG 2.5.3), so that whoever speaks to the page may say what they see.
import { expect as plainExpect, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 15_000 });

/** Visible text and name of every named control whose name lacks its text, spaces and marks aside. */
function unlike(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const plain = (text: string): string => text.replace(/[\s·␣×]+/g, '').toLowerCase();
    return [...document.querySelectorAll<HTMLElement>(':is(button, a, summary)[aria-label]')]
      .filter((control) => control.checkVisibility())
      .map((control) => [control.innerText.trim(), control.ariaLabel ?? ''] as const)
      .filter(([text, name]) => !plain(name).includes(plain(text)))
      .map(([text, name]) => `${text} | ${name}`);
  });
}

for (const language of ['en', 'zh'] as const) {
  test(`in ${language}, every button’s name holds the text that is seen on it`, async ({
    page,
  }) => {
    await page.goto(`/#lang=${language}&on=wasm&h=5.2`);
    await expect(page.getByTestId('facts')).toBeAttached();
    await expect(page.locator('.chip').first()).toBeVisible();
    await page.getByTestId('toggle-head').click();
    await expect(page.getByTestId('off-badge')).toBeVisible();
    await page.getByTestId('variants-toggle').click();
    await expect(page.getByTestId('variant-q8')).toBeVisible();
    await page.getByTestId('facts').scrollIntoViewIfNeeded();
    await expect.poll(() => unlike(page)).toEqual([]);
  });
}
