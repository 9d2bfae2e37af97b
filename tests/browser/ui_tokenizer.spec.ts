// A tokenizer that would make other tokens here than in transformers is told of, and ids are taken instead.
import { expect as plainExpect, type Page } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

/** Serves other bytes for a file of the bundled model, with the digest that the manifest gives them. */
async function replaceFile(
  page: Page,
  name: string,
  change: (text: string) => string,
): Promise<void> {
  await page.route(`**/models/demo/${name}`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: change(await response.text()) });
  });
  await page.route('**/models/demo/manifest.json', async (route) => {
    const manifest = (await (await route.fetch()).json()) as {
      files: { path: string; bytes: number; digest: string }[];
    };
    const original = await page.request.get(`models/demo/${name}`);
    const body = Buffer.from(change(await original.text()), 'utf8');
    const entry = manifest.files.find(({ path }) => path === name);
    if (entry === undefined) throw new Error(`the bundle has no ${name}`);
    const { createHash } = await import('node:crypto');
    entry.bytes = body.length;
    entry.digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    await route.fulfill({ json: manifest });
  });
}

test('where the page’s tokens are not transformers’, it says so and takes ids', async ({
  page,
}) => {
  await replaceFile(page, 'tokenizer_cases.json', () =>
    JSON.stringify({ cases: [{ text: 'After Friday comes', ids: [7, 8, 9] }] }),
  );
  await page.goto('/#lang=en');
  const trouble = page.getByTestId('tokenizer-trouble');
  await expect(trouble).toContainText('“After Friday comes”');
  await expect(trouble).toContainText('transformers makes 7 8 9');
  await page.locator('#prompt').fill('5 6 7');
  await expect(page.locator('.chip .id')).toHaveText(['5', '6', '7']);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await page.goto('/#lang=zh');
  await expect(trouble).toContainText('而 transformers 得到 7 8 9');
});

test('a tokenizer of a kind that the page lacks is told of, and the model opens', async ({
  page,
}) => {
  await replaceFile(page, 'tokenizer.json', (text) => {
    const tokenizer = JSON.parse(text) as { pre_tokenizer: unknown };
    tokenizer.pre_tokenizer = { type: 'UnicodeScripts' };
    return JSON.stringify(tokenizer);
  });
  await page.goto('/#lang=en&p=5+6+7');
  await expect(page.getByTestId('tokenizer-trouble')).toContainText('UnicodeScripts');
  await expect(page.locator('.chip .id')).toHaveText(['5', '6', '7']);
});
