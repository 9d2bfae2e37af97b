// What is copied can be pasted, on pages with a clipboard and without, and the page says where it cannot copy at all.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Page } from '@playwright/test';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

/** A name that no browser takes for the reader's own machine, so that a page there is not secure without TLS. */
const plainName = 'oriel.invalid';

const manifest = fileURLToPath(
  new URL('../../apps/web/static/models/demo/manifest.json', import.meta.url),
);
const digest = (JSON.parse(readFileSync(manifest, 'utf8')) as Manifest).model.weights_digest;

/** Clicks, and returns what the reader then pastes into the text box. */
async function copyAndPaste(page: Page): Promise<string> {
  const copy = page.getByTestId('copy');
  await copy.click();
  await expect(copy).toHaveText('copied');
  await expect(copy).toBeFocused();
  await expect(page.getByTestId('copy-refused')).toHaveCount(0);
  const box = page.getByRole('textbox').first();
  await box.press('ControlOrMeta+a');
  await box.press('ControlOrMeta+v');
  return box.inputValue();
}

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await expect(page.getByTestId('copy')).toBeVisible();
}

test('on a page without TLS, whole values are copied all the same', async ({ page, baseURL }) => {
  const { port, hostname } = new URL(baseURL ?? '');
  // No name is looked up: each request for that host is answered by the test's own server.
  await page.route(`http://${plainName}:${port}/**`, async (route) => {
    const url = route.request().url().replace(plainName, hostname);
    await route.fulfill({ response: await route.fetch({ url }) });
  });
  await open(page, `http://${plainName}:${port}/#lang=en&on=wasm`);
  expect(await page.evaluate(() => [isSecureContext, 'clipboard' in navigator])).toEqual([
    false,
    false,
  ]);
  expect(await copyAndPaste(page)).toBe(digest);
});

test('where the clipboard refuses, as in a frame, whole values are copied all the same', async ({
  page,
}) => {
  await page.addInitScript(() => {
    Clipboard.prototype.writeText = () =>
      Promise.reject(new DOMException('not allowed', 'NotAllowedError'));
  });
  await open(page, '/#lang=en&on=wasm');
  expect(await copyAndPaste(page)).toBe(digest);
});

test('where the browser lets the page copy in no way, the whole value is shown', async ({
  page,
}) => {
  await page.addInitScript(() => {
    Clipboard.prototype.writeText = () =>
      Promise.reject(new DOMException('not allowed', 'NotAllowedError'));
    Object.assign(Document.prototype, { execCommand: () => false });
  });
  for (const [language, word] of [
    ['en', 'copy it yourself'],
    ['zh', '自行复制'],
  ] as const) {
    await open(page, `/?${language}#lang=${language}&on=wasm`);
    await page.getByTestId('copy').click();
    const refused = page.getByTestId('copy-refused');
    await expect(refused).toContainText(word);
    await expect(refused.locator('code')).toHaveText(digest);
    await expect(page.getByTestId('copy')).not.toHaveText(/copied|已复制/);
  }
});
