// Links that come into a tab in which a model is open: it stays until the link's own is known to be there, and Back works.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { startBundleServer, type BundleServer } from './bundle_server';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
const made = fileURLToPath(new URL('../../test-results/browser/bundles/', import.meta.url));

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

/** As a link does that is pasted into the address of a tab: the page is not loaded again. */
async function paste(page: Page, hash: string): Promise<void> {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, hash);
}

/** Opens the demo and returns the page's address, once the page has written all of it. */
async function visit(page: Page, hash: string): Promise<string> {
  await page.goto(`/#lang=en&on=wasm&${hash}`);
  await settled(page);
  await page.getByTestId('head-0-1').click();
  await expect(page).toHaveURL(/[#&]h=0\.1/);
  return page.url();
}

async function settled(page: Page): Promise<void> {
  await expect(page.getByTestId('facts')).toBeAttached();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** All that the reader had: text, tokens and predictions. */
async function seen(page: Page): Promise<unknown> {
  const all = (of: Locator, name: string): Promise<(string | null)[]> =>
    of.evaluateAll((marks, name) => marks.map((mark) => mark.getAttribute(name)), name);
  return {
    text: await page.locator('#prompt').inputValue(),
    tokens: await page.locator('.chip .id').allTextContents(),
    ids: await all(page.getByTestId('candidate'), 'data-id'),
    probabilities: await all(page.getByTestId('candidate'), 'data-probability'),
    picker: await page
      .getByRole('combobox', { name: 'Model' })
      .locator('option:checked')
      .textContent(),
  };
}

test('a link whose model cannot be had leaves all that is open, with one message', async ({
  page,
}) => {
  const gone = await startBundleServer();
  await offer(page, {
    demo: 'demo/manifest.json',
    gone: gone.url('tiny-llama'),
    missing: bundles.url('tiny-llama', 'manifest.json', 'missing'),
    major: bundles.url('tiny-gpt2', 'manifest.json', 'other-major'),
    text: bundles.url('tiny-gpt2', 'manifest.json', 'not-json'),
    path: bundles.url('tiny-gpt2', 'manifest.json', 'bad-path'),
    weightless: bundles.url('tiny-gpt2', 'model.onnx.data', 'missing'),
  });
  await gone.close();
  const address = await visit(page, 'p=The+dog+saw');
  const before = await seen(page);
  const declined = page.getByTestId('declined');
  for (const [link, kind] of [
    ['model=nowhere', 'unknown-model'],
    ['model=gone', 'network'],
    ['model=missing', 'not-found'],
    ['model=major', 'contract-version'],
    ['model=text', 'not-a-manifest'],
    ['model=path', 'not-a-manifest'],
    ['model=weightless', 'not-found'],
    ['v=nothing', 'unknown-variant'],
    ['open=resid_post:999', 'unknown-activation'],
  ] as const) {
    await test.step(link, async () => {
      await paste(page, `lang=en&on=wasm&p=Another+text&off=0.0&${link}`);
      await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', kind);
      await expect(page.getByRole('alert')).toHaveCount(1);
      await expect(declined).toContainText('demo, fp32 stays open');
      await expect(page).toHaveURL(address);
      expect(await seen(page)).toEqual(before);
      await expect(page.getByTestId('off-badge')).toHaveCount(0);
      await declined.getByRole('button', { name: 'Close' }).click();
      await expect(declined).toHaveCount(0);
    });
  }
  // The entries before are the page's own.
  await page.goBack();
  await expect(page).toHaveURL(address);
  expect(await seen(page)).toEqual(before);
  await page.getByTestId('step').click();
  await expect(page.getByTestId('step-time')).not.toHaveText('none yet');
});

test('a link that can be had is opened, Back returns, and what was out of reach is tried again', async ({
  page,
}) => {
  const url = bundles.url('tiny-llama');
  await offer(page, { demo: 'demo/manifest.json', llama: url });
  const address = await visit(page, 'p=The+dog+saw');
  const before = await seen(page);
  await page.route(url, (route) => route.abort());
  await paste(page, 'lang=en&on=wasm&model=llama&p=5+9+33');
  const declined = page.getByTestId('declined');
  await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', 'network');
  await expect(page).toHaveURL(address);
  await page.unroute(url);
  await declined.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('textbox', { name: 'Token ids' })).toHaveValue('5 9 33');
  await settled(page);
  await expect(page.locator('.chip .id')).toHaveText(['5', '9', '33']);
  await expect(declined).toHaveCount(0);
  await expect(page).toHaveURL(/model=llama/);

  await page.goBack();
  await expect(page).toHaveURL(address);
  await expect(page.locator('#prompt')).toHaveValue('The dog saw');
  await settled(page);
  expect(await seen(page)).toEqual(before);
});

test('Back, while a link’s model is looked for, keeps what is open for good', async ({ page }) => {
  const url = bundles.url('tiny-llama');
  await offer(page, { demo: 'demo/manifest.json', llama: url });
  const address = await visit(page, 'p=The+dog+saw');
  const before = await seen(page);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(url, async (route) => {
    await released;
    await route.continue();
  });
  const asked = page.waitForRequest(url);
  await paste(page, 'lang=en&on=wasm&model=llama&p=5+9+33');
  await asked;
  // The page works on meanwhile.
  expect(await seen(page)).toEqual(before);
  await page.goBack();
  const answered = page.waitForResponse(url);
  release();
  await (await answered).finished();
  await page.getByTestId('head-0-2').click();
  await expect(page).toHaveURL(address.replace('h=0.1', 'h=0.2'));
  await expect(page.getByTestId('declined')).toHaveCount(0);
  expect(await seen(page)).toEqual(before);
});

test('an opened folder stays when a link leads nowhere, and Back finds it again', async ({
  page,
}) => {
  await offer(page, { demo: 'demo/manifest.json', llama: bundles.url('tiny-llama') });
  await visit(page, 'p=The+dog+saw');
  await page.getByTestId('folder-input').setInputFiles(join(made, 'tiny-gpt2'));
  const chosen = page.getByRole('combobox', { name: 'Model' }).locator('option:checked');
  await expect(chosen).toHaveText('tiny-gpt2 · on this device');
  await settled(page);
  await expect(page).not.toHaveURL(/[#&]h=/);
  const before = await seen(page);
  const declined = page.getByTestId('declined');
  for (const [link, kind] of [
    ['model=nowhere', 'unknown-model'],
    ['v=nothing', 'unknown-variant'],
  ] as const) {
    await paste(page, `lang=en&on=wasm&p=Another&${link}`);
    await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', kind);
    await expect(declined).toContainText('tiny-gpt2, fp32 stays open');
    await expect(page).not.toHaveURL(/[#&](model|v)=/);
    expect(await seen(page)).toEqual(before);
  }
  await paste(page, 'lang=en&on=wasm&model=llama&p=5+9+33');
  await expect(page.getByRole('textbox', { name: 'Token ids' })).toHaveValue('5 9 33');
  await settled(page);
  await expect(chosen).toHaveText(/^llama/);
  await page.goBack();
  await expect(chosen).toHaveText('tiny-gpt2 · on this device');
  await settled(page);
  expect(await seen(page)).toEqual(before);
});
