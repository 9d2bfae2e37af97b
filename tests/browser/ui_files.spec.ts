// Models of the visitor's own: chosen or dropped, from files and folders, bare or whole; and those that a link names.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Page } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, reference } from './fixtures';
import { readOnnx } from '../web/onnx_proto';
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

async function opened(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** What the page says of the likeliest token is what PyTorch says. */
async function expectTruth(page: Page): Promise<void> {
  const prompt = readFixtures('tiny-gpt2').prompt('sentence');
  await page
    .getByRole('textbox')
    .first()
    .fill(prompt.text ?? '');
  await expect(page.locator('.chip .id')).toHaveText(prompt.ids.map(String));
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  const { dims, data } = reference(prompt, 'logits');
  const truth = softmax(Array.from(data.subarray(-(dims.at(-1) ?? 0))));
  const first = page.getByTestId('candidate').first();
  await expect
    .poll(async () => {
      const id = Number(await first.getAttribute('data-id'));
      const shown = Number(await first.getAttribute('data-probability'));
      return Math.abs(shown - (truth[id] ?? NaN));
    })
    .toBeLessThan(1e-4);
}

/** Drops files as a browser does; a folder's keep their names alone, since scripts can make no folder. */
async function drop(page: Page, folder: string, names: readonly string[]): Promise<void> {
  const files = names.map((name) => ({
    name,
    data: readFileSync(join(made, folder, name)).toString('base64'),
  }));
  const transfer = await page.evaluateHandle((files) => {
    const transfer = new DataTransfer();
    for (const { name, data } of files) {
      const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], name));
    }
    return transfer;
  }, files);
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
  await expect(page.getByTestId('drop-overlay')).toContainText('Nothing is uploaded');
  await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
  await expect(page.getByTestId('drop-overlay')).toHaveCount(0);
}

test('a folder is opened from the disk, proven by its digests, and no link claims it', async ({
  page,
}) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await page.getByTestId('folder-input').setInputFiles(join(made, 'tiny-gpt2'));
  const picker = page.getByRole('combobox', { name: 'Model' });
  await expect(picker.locator('option:checked')).toHaveText('tiny-gpt2 · on this device');
  await opened(page);
  await expectTruth(page);
  await expect(page.getByTestId('bare-note')).toHaveCount(0);
  await expect(page.getByTestId('facts')).toContainText('tiny-gpt2, gpt2');
  await expect(page).not.toHaveURL(/model=|[#&]v=/);
  // A generated token goes through its cache, and another tap through its own bytes.
  await page.getByRole('button', { name: 'One token' }).click();
  await expect(page.getByTestId('step-time')).not.toHaveText('none yet');
  // The list leads back.
  const demo = picker.getByRole('option', { name: /^demo/ });
  await picker.selectOption(await demo.getAttribute('value'));
  await expect(page.getByTestId('facts')).toContainText('demo, gpt2');
});

test('a bare graph is dropped with what belongs to it; what it lacks is told', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await drop(page, 'bare-plain', readdirSync(join(made, 'bare-plain')));
  await expect(page.getByTestId('bare-note')).toContainText('Unverified');
  await opened(page);
  await expectTruth(page);
  await expect(page.getByTestId('bare-note')).toContainText('model.plain.onnx');
  await expect(page.getByTestId('facts')).toContainText('not verified');
  await expect(page.getByTestId('attention')).toBeVisible();
  await expect(page.getByTestId('toggle-head')).toHaveCount(0);
  await expect(page.getByTestId('open-all-layers')).toHaveCount(0);
  await expect(page.getByTestId('lens')).toHaveCount(0);
  await page.getByRole('button', { name: 'One token' }).click();
  await expect(page.locator('.chip .id')).toHaveCount(
    readFixtures('tiny-gpt2').prompt('sentence').ids.length + 1,
  );
});

test('a bare decoder has its cache and its taps, and no heads to switch', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await drop(page, 'bare-decoder', readdirSync(join(made, 'bare-decoder')));
  await expect(page.getByTestId('bare-note')).toContainText('the decoder graph');
  await opened(page);
  await expectTruth(page);
  await expect(page.getByTestId('toggle-head')).toHaveCount(0);
  await expect(page.getByTestId('attention')).toBeVisible();
  await page.getByRole('button', { name: 'One token' }).click();
  await expect(page.getByTestId('step-time')).not.toHaveText('none yet');
});

for (const kind of ['open', 'interactive']) {
  test(`a bare ${kind} graph opens taps, switches heads and generates`, async ({ page }) => {
    await page.goto('/#lang=en&on=wasm');
    await opened(page);
    const folder = join(made, `bare-${kind}`);
    const files = readdirSync(folder).map((name) => join(folder, name));
    await page.getByTestId('files-input').setInputFiles(files);
    await expect(page.getByTestId('bare-note')).toContainText('The logit lens comes');
    await page.getByRole('textbox', { name: 'Token ids' }).fill('1 2 3 4');
    await opened(page);
    await page.getByTestId('open-all-layers').click();
    await expect(page.getByTestId('open-all-layers')).toHaveCount(0);
    await page.getByTestId('toggle-head').click();
    await expect(page.getByTestId('off-badge')).toBeVisible();
    await page.getByRole('button', { name: 'One token' }).click();
    await expect(page.locator('.chip .id')).toHaveCount(5);
    await expect(page.getByTestId('step-time')).not.toHaveText('none yet');
  });
}

test('the graph of the open model is saved as one file, and opens again', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await page.getByTestId('folder-input').setInputFiles(join(made, 'tiny-llama'));
  await expect(page.getByRole('textbox', { name: 'Token ids' })).toBeVisible();
  await page.getByRole('textbox', { name: 'Token ids' }).fill('1 2 3 4');
  await opened(page);
  await page.getByRole('button', { name: 'Open files…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Open a model of your own' });
  await expect(dialog).toContainText('model.onnx.data in the same folder');
  const downloading = page.waitForEvent('download');
  await dialog.getByTestId('save-graph').click();
  const download = await downloading;
  expect(download.suggestedFilename()).toBe('tiny-llama.onnx');
  const bytes = readFileSync(await download.path());
  // A parser that overwrites instead of merging finds the whole graph.
  const { graph } = readOnnx(bytes);
  expect(graph.node.length).toBeGreaterThan(100);
  expect(graph.output.map(({ name }) => name)).toContain('layer_0_attn_probs');
  await dialog.getByRole('button', { name: 'Close' }).click();
  const truth = await page.getByTestId('candidate').first().getAttribute('data-probability');
  await page.getByTestId('files-input').setInputFiles([
    { name: 'tiny-llama.onnx', mimeType: 'application/octet-stream', buffer: bytes },
    {
      name: 'model.onnx.data',
      mimeType: 'application/octet-stream',
      buffer: readFileSync(join(made, 'tiny-llama', 'model.onnx.data')),
    },
  ]);
  await expect(page.getByTestId('bare-note')).toContainText('tiny-llama.onnx');
  await page.getByRole('textbox', { name: 'Token ids' }).fill('1 2 3 4');
  await opened(page);
  const again = page.getByTestId('candidate').first();
  await expect
    .poll(async () =>
      Math.abs(Number(await again.getAttribute('data-probability')) - Number(truth)),
    )
    .toBeLessThan(1e-5);
});

test('files without a model leave the open one as it is, and files that are missing are named', async ({
  page,
}) => {
  await page.goto('/#lang=en&on=wasm');
  await opened(page);
  await drop(page, 'tiny-gpt2', ['tokenizer.json']);
  const dialog = page.getByRole('dialog', { name: 'Open a model of your own' });
  await expect(dialog.getByRole('alert')).toHaveAttribute('data-kind', 'no-model-in-files');
  await expect(dialog).toContainText('tokenizer.json');
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  // Its button opens it without the error, from the keyboard too.
  await page.getByRole('button', { name: 'Open files…' }).press('Enter');
  await expect(dialog).toBeVisible();
  await expect(dialog.getByRole('alert')).toHaveCount(0);
  await page.keyboard.press('Escape');
  await drop(page, 'tiny-gpt2', ['manifest.json', 'tokenizer.json', 'model.open.onnx']);
  const declined = page.getByTestId('declined');
  const alert = declined.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'files-missing');
  await expect(alert).toContainText('model.onnx.data');
  await expect(alert).toContainText('tokenizer_config.json');
  await expect(declined).toContainText('demo, fp32 stays open');
  await expect(page.getByRole('combobox', { name: 'Model' }).locator('option:checked')).toHaveText(
    /^demo/,
  );
  await page.getByTestId('step').click();
  await expect(page.getByTestId('step-time')).not.toHaveText('none yet');
});

test('a link names a model of the page’s own origin, and keeps naming it', async ({ page }) => {
  await page.goto('/?model=models/demo/manifest.json#lang=en&on=wasm&p=The');
  await opened(page);
  await page.getByRole('textbox', { name: 'Text', exact: true }).fill('The old keys');
  await expect(page).toHaveURL(/\?model=models\/demo\/manifest\.json#.*p=The\+old\+keys/);
  await page.getByTestId('folder-input').setInputFiles(join(made, 'tiny-llama'));
  const picker = page.getByRole('combobox', { name: 'Model' });
  await expect(picker.locator('option:checked')).toHaveText('tiny-llama · on this device');
  await expect(page.getByRole('textbox', { name: 'Token ids' })).toBeVisible();
  await expect(page).not.toHaveURL(/model=/);
});

test('a link names a model of an origin that the build allows', async ({ page }) => {
  const url = `${bundles.url('bare-decoder').replace(/manifest\.json$/, 'model.onnx')}?v=3`;
  const before = bundles.requests.length;
  await page.goto(`/?model=${encodeURIComponent(url)}#lang=en&on=wasm`);
  await expect(page.getByTestId('bare-note')).toContainText('model.onnx');
  await opened(page);
  const picker = page.getByRole('combobox', { name: 'Model' });
  await expect(picker.locator('option:checked')).toHaveText('model.onnx · localhost');
  const requested = bundles.requests.slice(before);
  expect(requested.length).toBeGreaterThan(3);
  expect(requested.every((path) => path.endsWith('?v=3'))).toBe(true);
});

test('a link to an origin that the build does not allow fetches nothing from it', async ({
  page,
}) => {
  const requested: string[] = [];
  page.context().on('request', (request) => requested.push(request.url()));
  const url = 'https://models.example/m/manifest.json';
  await page.goto(`/?model=${encodeURIComponent(url)}#lang=en&on=wasm`);
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'origin-refused');
  await expect(alert).toContainText('https://models.example');
  await expect(alert).toContainText('VITE_MODEL_ORIGINS');
  expect(requested.filter((address) => new URL(address).hostname === 'models.example')).toEqual([]);
  expect(requested.length).toBeGreaterThan(0);
  await page.getByRole('button', { name: 'Open this page’s own model' }).click();
  await opened(page);
  await expect(page).not.toHaveURL(/model=/);
});
