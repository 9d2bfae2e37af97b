// The text as its reader handles it: ids that text cannot carry, undo and redo, what goes first, what ends a text, long texts.
import { expect as plainExpect, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

interface ManifestPart {
  tokenizer: { first_tokens?: number[] };
  model: { eos_token_id: number; end_token_ids?: number[] };
}

async function changeManifest(page: Page, change: (manifest: ManifestPart) => void): Promise<void> {
  await page.route('**/models/demo/manifest.json', async (route) => {
    const response = await route.fetch();
    const manifest = (await response.json()) as ManifestPart;
    change(manifest);
    await route.fulfill({ response, json: manifest });
  });
}

async function still(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  // They are drawn a frame later than the candidates.
  await expect(page.locator('.chip').first()).toBeVisible();
}

async function opened(page: Page, text: string): Promise<void> {
  await page.goto(`/#lang=en&p=${encodeURIComponent(text)}`);
  await still(page);
}

async function ids(page: Page): Promise<number[]> {
  return (await page.locator('.chip .id').allTextContents()).map(Number);
}

async function probabilities(page: Page): Promise<string[]> {
  const candidates = await page.getByTestId('candidate').all();
  return Promise.all(
    candidates.map(async (candidate) => {
      const id = await candidate.getAttribute('data-id');
      const share = Number(await candidate.getAttribute('data-probability'));
      return `${id} ${share.toPrecision(4)}`;
    }),
  );
}

const box = (page: Page) => page.locator('#prompt');

test('tokens that the text cannot carry come back by reload and by link', async ({
  page,
  context,
}) => {
  await opened(page, 'The dog saw 🙂');
  const whole = await ids(page);
  await page.getByTestId('back').click();
  await expect.poll(() => ids(page)).toEqual(whole.slice(0, -1));
  await expect(page.getByTestId('kept-ids')).toBeVisible();
  await still(page);
  const before = await probabilities(page);
  await expect(page).toHaveURL(/ids=/);
  const link = page.url();
  await page.reload();
  await still(page);
  expect(await ids(page)).toEqual(whole.slice(0, -1));
  expect(await probabilities(page)).toEqual(before);

  const other = await context.newPage();
  await other.goto(link);
  await still(other);
  expect(await ids(other)).toEqual(whole.slice(0, -1));
  // What is typed after them leaves them alone.
  await other.locator('#prompt').press('End');
  await other.locator('#prompt').pressSequentially(' and');
  await expect
    .poll(async () => (await ids(other)).slice(0, whole.length - 1))
    .toEqual(whole.slice(0, -1));
  await other.getByTestId('retokenize').click();
  await expect(other.getByTestId('kept-ids')).toBeHidden();
  await other.close();
});

test('kept tokens stay where one types before them, and ids of a link that do not fit its text are told', async ({
  page,
}) => {
  await opened(page, 'The dog saw 🙂');
  const whole = await ids(page);
  await page.getByTestId('back').click();
  await expect.poll(() => ids(page)).toEqual(whole.slice(0, -1));
  await expect(page.getByTestId('kept-ids')).toBeVisible();
  const part = whole.slice(4, -1);
  await box(page).press('Control+Home');
  await box(page).pressSequentially('Now ');
  await expect.poll(async () => (await ids(page)).length).toBeGreaterThan(whole.length - 1);
  expect((await ids(page)).slice(-part.length)).toEqual(part);
  await expect(page.getByTestId('kept-ids')).toBeVisible();

  // In the same tab: the reader's text comes back, kept tokens and all.
  const mine = { text: await box(page).inputValue(), ids: await ids(page) };
  await still(page);
  await page.evaluate(() => {
    location.hash = '#lang=en&p=The+dog&ids=5.6.7';
  });
  await expect(box(page)).toHaveValue('The dog');
  await expect(page.getByTestId('ids-given-up')).toBeVisible();
  await page.getByTestId('undo').click();
  await expect(box(page)).toHaveValue(mine.text);
  await expect.poll(() => ids(page)).toEqual(mine.ids);
});

test('the page’s own changes of the text can be undone and done again', async ({ page }) => {
  const mine = 'The old keys are on my table';
  await opened(page, mine);
  await page.locator('.examples button').first().click();
  await expect(box(page)).not.toHaveValue(mine);
  const example = await box(page).inputValue();
  await page.getByTestId('undo').click();
  await expect(box(page)).toHaveValue(mine);
  await page.getByTestId('redo').click();
  await expect(box(page)).toHaveValue(example);
  await box(page).press('Control+z');
  await expect(box(page)).toHaveValue(mine);
  // Typing is part of the same history.
  await box(page).press('End');
  await box(page).pressSequentially(' now');
  await page.getByTestId('step').click();
  await expect(box(page)).not.toHaveValue(`${mine} now`);
  await box(page).press('Control+z');
  await expect(box(page)).toHaveValue(`${mine} now`);
  await box(page).press('Control+z');
  await expect(box(page)).toHaveValue(mine);
  await box(page).press('Control+Shift+z');
  await expect(box(page)).toHaveValue(`${mine} now`);
  await still(page);
});

test('“Remove last” takes one token of a text that is too long, and drops no more', async ({
  page,
}) => {
  const words = 'one two three four five six seven eight nine ten '.repeat(40).trim();
  await opened(page, words);
  await expect(page.getByTestId('too-long')).toBeVisible();
  await page.getByTestId('back').click();
  await expect(box(page)).not.toHaveValue(words);
  const left = await box(page).inputValue();
  expect(words.startsWith(left)).toBe(true);
  expect(words.length - left.length).toBeLessThan(8);
  await page.getByTestId('undo').click();
  await expect(box(page)).toHaveValue(words);
});

test('what the tokenizer puts first is fed, shown, and can be taken away', async ({
  page,
  context,
}) => {
  const text = 'The dog saw a cat';
  await opened(page, text);
  const plain = { ids: await ids(page), shares: await probabilities(page) };
  const [end = NaN] = await (async () => {
    await box(page).fill('<|endoftext|>');
    await expect.poll(() => ids(page)).toHaveLength(1);
    return ids(page);
  })();
  await box(page).fill(`<|endoftext|>${text}`);
  await expect.poll(() => ids(page)).toEqual([end, ...plain.ids]);
  await still(page);
  const first = await probabilities(page);

  const other = await context.newPage();
  await changeManifest(other, (manifest) => {
    manifest.tokenizer.first_tokens = [end];
  });
  await opened(other, text);
  expect(await ids(other)).toEqual([end, ...plain.ids]);
  expect(await probabilities(other)).toEqual(first);
  await expect(other.getByTestId('first-tokens')).toContainText('<|endoftext|>');
  // On the token itself, or in the line under the text: both do the same.
  await expect(other.getByTestId('take-first')).toHaveAccessibleName(/<\|endoftext\|>/);
  await other.getByTestId('take-first').click();
  await expect(other.getByTestId('take-first')).toHaveCount(0);
  await expect.poll(() => ids(other)).toEqual(plain.ids);
  await still(other);
  expect(await probabilities(other)).toEqual(plain.shares);
  await expect(other).toHaveURL(/first=no/);
  await other.reload();
  await still(other);
  expect(await ids(other)).toEqual(plain.ids);
  await other.getByTestId('toggle-first').click();
  await expect.poll(() => ids(other)).toEqual([end, ...plain.ids]);
  await other.close();
});

test('generation ends at any of the end tokens, and names it', async ({ page }) => {
  await opened(page, 'The dog saw a cat');
  // What greedy generation gives first becomes an end token that is not the first one named.
  await page.getByTestId('temperature').fill('0');
  await expect(page).toHaveURL(/s=0_/);
  const next = Number(await page.getByTestId('candidate').first().getAttribute('data-id'));
  await changeManifest(page, (manifest) => {
    manifest.model.end_token_ids = [manifest.model.eos_token_id, next];
  });
  await page.reload();
  await still(page);
  const before = (await ids(page)).length;
  await page.getByTestId('play').click();
  await expect(page.locator('.generation .end')).toBeVisible();
  expect((await ids(page)).slice(before)).toEqual([next]);
});

test('a text too long for a link is left out of the address, and the page says so', async ({
  page,
}) => {
  await opened(page, 'The dog');
  await box(page).fill('The dog saw a cat. '.repeat(60_000));
  await expect(page.getByTestId('not-in-link')).toBeVisible();
  await expect(page.getByTestId('too-long')).toBeVisible();
  expect(page.url().length).toBeLessThan(2000);
  await box(page).fill('The dog saw');
  await expect(page.getByTestId('not-in-link')).toBeHidden();
  await expect(page).toHaveURL(/p=The\+dog\+saw/);
});
