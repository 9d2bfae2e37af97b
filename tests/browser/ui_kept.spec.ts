// What the visitor sees of the storage: what is kept with its true bytes, and that removing and keeping do what they say.
import { expect as plainExpect, type Page } from '@playwright/test';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { checksumBytes } from '../../apps/web/src/bundle/storage/storage_checksum';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
test.use({ comparesDevice: true });

async function opened(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('facts')).toBeVisible();
}

test('what is kept is listed, reused, removed and fetched again', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  const model = page.getByTestId('kept-model');
  const fetched = page.getByTestId('download-fact');
  await expect(model).toHaveCount(1);
  await expect(model).toContainText('demo');
  await expect(fetched).not.toContainText('kept from before');
  await expect(page.getByTestId('not-kept')).toHaveCount(0);
  // The folder says how much is really there, checksums aside. What the device is compared with comes a moment later.
  await expect(async () => {
    const kept = await page.evaluate(async (checksumBytes) => {
      const root = await navigator.storage.getDirectory();
      const pieces = await (await root.getDirectoryHandle('oriel')).getDirectoryHandle('pieces');
      let bytes = 0;
      for await (const handle of pieces.values())
        bytes += (await (handle as FileSystemFileHandle).getFile()).size - checksumBytes;
      return bytes;
    }, checksumBytes);
    expect(kept).toBeGreaterThan(1e6);
    expect(await model.getAttribute('data-bytes')).toBe(String(kept));
  }).toPass({ timeout: 30_000 });
  await expect(page.getByTestId('kept-quota')).toContainText(/[\d.]+.MB of about [\d.]+.[GM]B/);
  await expect(page.getByRole('option', { name: /demo.*kept here/ })).toHaveCount(1);

  await page.reload();
  await opened(page);
  await expect(fetched).toContainText(/^0.B fetched, [\d.]+.MB kept from before/);

  // The comparison with PyTorch opens the model once more, which would keep it again.
  await expect(page.getByTestId('variant-bar')).toContainText('matches PyTorch');
  const remove = model.getByRole('button', { name: 'Remove' });
  await remove.click();
  await model.getByRole('button', { name: 'No', exact: true }).click();
  await expect(model).toHaveCount(1);
  await remove.click();
  await page.getByTestId('kept-remove-yes').click();
  await expect(page.getByTestId('kept-none')).toBeVisible();
  await expect(model).toHaveCount(0);
  // What is open stays open.
  await page.getByRole('button', { name: 'One token' }).click();
  await expect(page.getByTestId('step-time')).not.toHaveText('none yet');

  await page.reload();
  await opened(page);
  await expect(fetched).toContainText(/^[\d.]+.MB fetched/);
  await expect(fetched).not.toContainText('kept from before');
});

test('a piece whose file another page is still closing is kept, too', async ({ page, context }) => {
  const other = await context.newPage();
  await other.goto('/models/demo/manifest.json');
  // As a page does that is reloaded in the middle of a download: its lock on the file ends after the page.
  const writing = await other.evaluateHandle(async () => {
    const { files } = JSON.parse(document.body.innerText) as Pick<Manifest, 'files'>;
    const weights = files.find(({ path }) => path === 'model.onnx.data');
    const digest = (weights?.chunks?.[0]?.digest ?? weights?.digest ?? '').replace('sha256:', '');
    let folder = await navigator.storage.getDirectory();
    for (const name of ['oriel', 'pieces'])
      folder = await folder.getDirectoryHandle(name, { create: true });
    const file = await folder.getFileHandle(digest, { create: true });
    return file.createWritable();
  });
  const arrived = context.waitForEvent('requestfinished', {
    predicate: (request) => request.url().endsWith('model.onnx.data'),
  });
  await page.goto('/#lang=en&on=wasm');
  await arrived;
  // Time for the page to try it; too little would only make this test weaker.
  await page.waitForTimeout(500);
  await writing.evaluate((writing) => writing.abort());
  await opened(page);
  await expect(page.getByTestId('not-kept')).toHaveCount(0);
  await page.reload();
  await opened(page);
  await expect(page.getByTestId('download-fact')).toContainText(/^0.B fetched/);
});

test('keeping for good is asked for on a click alone, and the answer is told', async ({ page }) => {
  await page.addInitScript(() => {
    const asked = { times: 0 };
    Object.assign(globalThis, { asked });
    StorageManager.prototype.persisted = () => Promise.resolve(false);
    StorageManager.prototype.persist = () => {
      asked.times++;
      return Promise.resolve(false);
    };
    Permissions.prototype.query = () =>
      Promise.resolve({ state: 'prompt' } as unknown as PermissionStatus);
  });
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  const persistence = page.getByTestId('kept-persistence');
  await expect(persistence).toHaveText('The browser may clear it when the disk runs full.');
  expect(await page.evaluate('asked.times')).toBe(0);
  await page.getByTestId('kept-persist').click();
  await expect(persistence).toContainText('said no for now');
  expect(await page.evaluate('asked.times')).toBe(1);
});

test('what is kept is told where no model is open', async ({ page }) => {
  await page.goto('/?model=ftp://nowhere.test/m#lang=en');
  await expect(page.getByTestId('kept-none')).toBeVisible();
  await expect(page.getByTestId('facts')).toHaveCount(0);
});

test('what opens from the device alone says of when it is', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await expect(page.getByTestId('kept-since')).toHaveCount(0);
  await page.route('**/models/demo/manifest.json*', (route) => route.abort());
  await page.reload();
  await opened(page);
  await expect(page.getByTestId('kept-since')).toContainText(String(new Date().getFullYear()));
});

test.describe('with little room', () => {
  test.use({ ownContext: true });

  test('a model that there is no room for is told to be fetched again', async ({
    page,
    baseURL,
  }) => {
    const browser = await page.context().newCDPSession(page);
    const origin = new URL(baseURL ?? '').origin;
    await browser.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2e6 });
    await page.goto('/#lang=en&on=wasm');
    await opened(page);
    await expect(page.getByTestId('not-kept')).toContainText('no room');
    await page.getByRole('link', { name: 'See what is kept' }).click();
    await expect(page.getByRole('heading', { name: 'Kept on this device' })).toBeFocused();
  });
});
