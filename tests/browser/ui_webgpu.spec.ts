// The switch between WebGPU and wasm: the same model, the same prediction, and the page names what ran.
import { expect as plainExpect } from '@playwright/test';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 90_000 });

test('switching where the model runs keeps the prediction', async ({ page }) => {
  await page.goto('/#lang=en&on=wasm');
  const first = page.getByTestId('candidate').first();
  await expect(first).toBeVisible();
  const id = await first.getAttribute('data-id');
  const probability = Number(await first.getAttribute('data-probability'));
  const gpu = await page.evaluate(async () => {
    if (!('gpu' in navigator)) return false;
    return (await navigator.gpu.requestAdapter().catch(() => null)) !== null;
  });
  await page.getByTestId('provider').selectOption('webgpu');
  if (!gpu) {
    const declined = page.getByTestId('declined');
    await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', 'provider-unavailable');
    await declined.getByRole('button', { name: 'Close' }).click();
  }
  // Until the model is open there, the answer is the one before, whose parts go with it.
  const place = gpu ? 'WebGPU' : 'WebAssembly';
  await expect(page.getByTestId('variant-bar')).toContainText(`on ${place}`);
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await expect(first).toBeVisible();
  await expect(first).toHaveAttribute('data-id', id ?? '');
  const again = Number(await first.getAttribute('data-probability'));
  expect(Math.abs(again - probability)).toBeLessThan(1e-3);
  await page.getByTestId('facts').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('provider-fact')).toContainText(place);
});
