// Other models on the page: the picker, a model without a tokenizer, one that is damaged on its way.
import { expect as plainExpect } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, reference } from './fixtures';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

test('a model without a tokenizer takes ids, and grouped heads show as any others', async ({
  page,
}) => {
  const prompt = readFixtures('tiny-llama').prompt('sentence');
  await offer(page, { demo: 'demo/manifest.json', llama: bundles.url('tiny-llama') });
  await page.goto('/#lang=en&on=wasm');
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await page.getByRole('combobox', { name: 'Model' }).selectOption(bundles.url('tiny-llama'));
  const box = page.getByRole('textbox', { name: 'Token ids' });
  await expect(box).toBeVisible();
  await box.fill(prompt.ids.join(' '));
  await expect(page.locator('.chip .id')).toHaveText(prompt.ids.map(String));
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');

  const { dims, data } = reference(prompt, 'logits');
  const truth = softmax(Array.from(data.subarray(-(dims.at(-1) ?? 0))));
  const first = page.getByTestId('candidate').first();
  const id = Number(await first.getAttribute('data-id'));
  expect(
    Math.abs(Number(await first.getAttribute('data-probability')) - (truth[id] ?? NaN)),
  ).toBeLessThan(1e-4);
  await expect(first).toContainText(`#${id}`);

  await box.fill('1 2 banana');
  await expect(page.getByText('“banana” is no token id.')).toBeVisible();
});

test('a model that cannot be had leaves the open one as it is, and says why', async ({ page }) => {
  const gone = await startBundleServer();
  const models = {
    demo: 'demo/manifest.json',
    llama: bundles.url('tiny-llama'),
    gone: gone.url('tiny-llama'),
    missing: bundles.url('tiny-llama', 'manifest.json', 'missing'),
    major: bundles.url('tiny-gpt2', 'manifest.json', 'other-major'),
    weightless: bundles.url('tiny-gpt2', 'model.onnx.data', 'missing'),
  };
  await gone.close();
  await offer(page, models);
  await page.goto('/#lang=en&on=wasm');
  const first = page.getByTestId('candidate').first();
  await expect(page.getByTestId('facts')).toBeAttached();
  await expect(first).toBeVisible();
  const probability = (await first.getAttribute('data-probability')) ?? '';
  const picker = page.getByRole('combobox', { name: 'Model' });
  const declined = page.getByTestId('declined');
  for (const [name, kind] of [
    ['gone', 'network'],
    ['missing', 'not-found'],
    ['major', 'contract-version'],
    ['weightless', 'not-found'],
  ] as const) {
    await test.step(name, async () => {
      await picker.selectOption(models[name]);
      await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', kind);
      await expect(declined).toContainText('demo, fp32 stays open');
      await expect(picker.locator('option:checked')).toHaveText(/^demo/);
      await expect(first).toHaveAttribute('data-probability', probability);
      await expect(page).not.toHaveURL(/[#&]model=/);
      await declined.getByRole('button', { name: 'Close' }).click();
      await expect(declined).toHaveCount(0);
    });
  }
  // The device may refuse, too: what works stays all the same.
  if (
    !(await page.evaluate(
      async () => 'gpu' in navigator && !!(await navigator.gpu.requestAdapter()),
    ))
  ) {
    await page.getByTestId('provider').selectOption('webgpu');
    await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', 'provider-unavailable');
    await expect(page.getByTestId('provider')).toHaveValue('wasm');
  }
  await page.getByTestId('step').click();
  await expect(page.getByTestId('step-time')).not.toHaveText('none yet');
  await picker.selectOption(models.llama);
  await expect(page.getByRole('textbox', { name: 'Token ids' })).toBeVisible();
  await expect(declined).toHaveCount(0);
});

test('weights changed on the way are refused, with what was got and expected', async ({ page }) => {
  await offer(page, { demo: bundles.url('tiny-gpt2', 'model.onnx.data', 'corrupted') });
  await page.goto('/#lang=en&on=wasm');
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'integrity');
  await expect(alert).toContainText('model.onnx.data');
  await expect(alert).toContainText('sha256:');
});

test('another major version of the contract is named', async ({ page }) => {
  await offer(page, { demo: bundles.url('tiny-gpt2', 'manifest.json', 'other-major') });
  await page.goto('/#lang=zh&on=wasm');
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'contract-version');
  await expect(alert).toContainText('3.0');
  await expect(alert).toContainText('规范');
});

test('a link to a model that is not here opens no other in its place', async ({ page }) => {
  await offer(page, { demo: 'demo/manifest.json' });
  await page.goto('/#lang=en&on=wasm&model=gone&p=1+2+3&h=5.2');
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'unknown-model');
  await expect(alert).toContainText('gone');
  await expect(alert).toContainText('demo');
  await expect(page.getByTestId('candidate')).toHaveCount(0);
  // A reload asks for the same model, not for the page's own.
  await page.reload();
  await expect(alert).toHaveAttribute('data-kind', 'unknown-model');
  expect(page.url()).toContain('model=gone');
  await alert.getByRole('button').first().click();
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page).not.toHaveURL(/model=gone/);
});

test('a model whose name is in another script is chosen, linked and opened again', async ({
  page,
}) => {
  const name = '小模型 100%';
  await offer(page, { demo: 'demo/manifest.json', [name]: bundles.url('tiny-llama') });
  await page.goto('/#lang=en&on=wasm');
  const candidate = page.getByTestId('candidate').first();
  await expect(candidate).toBeVisible();
  const picker = page.getByRole('combobox', { name: 'Model' });
  await picker.selectOption(bundles.url('tiny-llama'));
  await page.getByRole('textbox', { name: 'Token ids' }).fill('5 9 33');
  await expect(page.locator('[data-position]')).toHaveCount(3);
  const linked = (): (string | null)[] => {
    const state = new URLSearchParams(new URL(page.url()).hash.slice(1));
    return [state.get('model'), state.get('p')];
  };
  await expect.poll(linked).toEqual([name, '5 9 33']);
  await page.reload();
  await expect(candidate).toBeVisible();
  await expect(picker.locator('option:checked')).toHaveText(new RegExp(`^${name}`));
  await expect(page.locator('[data-position]')).toHaveCount(3);
});
