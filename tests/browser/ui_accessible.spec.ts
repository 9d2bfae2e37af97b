// axe-core finds nothing wrong on the whole page, with every view in its main states, in both languages and themes.
import { expect as plainExpect, type Page } from '@playwright/test';
import { axeFaults } from './axe_faults';
import { readFixtures } from './fixtures';
import { test } from './shared_context';
import { isThorough } from './thorough';

const expect = plainExpect.configure({ timeout: 60_000 });
const sentence = readFixtures('demo').prompt('sentence');

/** Expect that nothing is wrong within a part of the page. */
async function expectAccessible(page: Page, state: string, within = 'body'): Promise<void> {
  // Again while it isn't so: what is computed anew is dimmed until it is there.
  await expect(async () => {
    expect(await axeFaults(page, within), state).toEqual([]);
  }).toPass({ timeout: 90_000 });
}

/** Bring each view into sight, where it is drawn, and wait until those that compute have done so. */
async function seeEverything(page: Page): Promise<void> {
  for (const id of await page.locator('main > .view').evaluateAll((all) => all.map(({ id }) => id)))
    await page.locator(`#${id}`).scrollIntoViewIfNeeded();
  await expect(page.locator('[data-testid=attribution] .found:not(.stale)')).toBeVisible();
  await expect(page.getByTestId('step-row').first()).toBeVisible();
  await expect(page.getByTestId('best-path').first()).toBeVisible();
  await expect(page.getByTestId('before-after')).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

test('nothing is wrong with any view, in both languages and themes', async ({ page }) => {
  test.setTimeout(900_000);
  const edits = [
    { edit: 'add', joint: 'resid_post', layer: 6, strength: 8, from: { unembedding: [40, 7] } },
    { edit: 'scale', joint: 'mlp_output', layer: 0, factor: 0.5, off: true },
  ];
  const state = {
    ...{ on: 'wasm', p: sentence.text ?? '', e: JSON.stringify(edits), t: '5', h: '5.1' },
    ...{ attr: 'best_second_n3', tree: '3.3', s: '1.3_60_0.9_0.05_7', a: 'layer_5_mlp_output' },
  };
  const each = [
    { lang: 'en', colorScheme: 'light' },
    { lang: 'zh', colorScheme: 'dark' },
  ] as const;
  const others = [
    { lang: 'en', colorScheme: 'dark' },
    { lang: 'zh', colorScheme: 'light' },
  ] as const;
  for (const { lang, colorScheme } of isThorough ? [...each, ...others] : each) {
    await page.emulateMedia({ colorScheme });
    await page.goto('about:blank');
    await page.goto(`/#${new URLSearchParams({ lang, ...state }).toString()}`);
    await expect(page.getByTestId('candidate').first()).toBeVisible();
    await seeEverything(page);
    await expectAccessible(page, `${lang}, ${colorScheme}`);
  }

  // What a reader runs into: refused forms, notes about the link, folded views, one alone, no text.
  const form = page.getByTestId('edit-form');
  await form.locator('[name=layer]').fill('99');
  await form.getByTestId('save-edit').click();
  await expect(form.getByTestId('form-error')).toBeVisible();
  await page.getByTestId('run-sweep').click();
  await expect(page.getByTestId('sweep-problem')).toBeVisible();
  await page.getByTestId('attributed-answer').selectOption('typed');
  await expectAccessible(page, 'refused forms');
  await page.getByTestId('fold-steps').click();
  await page.getByTestId('fold-attention').click();
  await page.getByTestId('alone-paths').click();
  await expectAccessible(page, 'one view alone');
  await page.goto('about:blank');
  await page.goto('/#lang=en&on=wasm&t=99&attr=x&p=Once');
  await expect(page.getByTestId('link-note')).toBeVisible();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expectAccessible(page, 'a bad link and a text of one token');
  await page.getByRole('textbox').first().fill('');
  await expect(page.getByTestId('candidate')).toHaveCount(0);
  await expectAccessible(page, 'no text');
});
