// A model without a cache on the page: its tokens, what it expects at the mask and at every position, and its attention in
// both directions equal transformers'; a token is put in the mask's place, and nothing can be generated.
import { expect as plainExpect, type Page } from '@playwright/test';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { askPython, checkpoints } from './ask_python';
import { startBundleServer, type BundleServer } from './bundle_server';
import { offer } from './offered_models';
import { test } from './shared_context';
import { expectCandidates } from './shown_prediction';

const expect = plainExpect.configure({ timeout: 60_000 });
const TEXT = 'the cat [MASK] on the mat';

interface Masked {
  readonly ids: readonly number[];
  readonly probabilities: readonly (readonly number[])[];
  readonly attention: readonly (readonly number[])[];
}

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

function inTorch(text: string): Masked {
  return askPython('read_masked.py', [checkpoints['tiny-bert']], text) as Masked;
}

async function visit(page: Page, text: string, more = '', variant = 'fp32'): Promise<void> {
  await offer(page, { model: bundles.url('tiny-bert') });
  await page.goto(
    `/#lang=en&on=wasm&model=model&v=${variant}&p=${encodeURIComponent(text)}${more}`,
  );
}

test('a masked language model is asked at its mask and shows every position', async ({ page }) => {
  const right = inTorch(TEXT);
  const at = 3;
  await visit(page, TEXT, '&h=0.0');
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${right.ids.length} `));
  await expect(page.locator('#next-title')).toHaveText(`What stands at position ${at}`);
  await expectCandidates(page, right.probabilities[at] ?? []);
  await expect(page.getByText('This model generates no text')).toBeVisible();
  await expect(page.getByTestId('play')).toHaveCount(0);

  // The first token looks at the last one, which stands behind it.
  const map = page.getByTestId('large-map');
  await map.focus();
  for (const key of ['ArrowUp', 'ArrowRight'])
    for (let left = right.ids.length; left > 0; left--) await page.keyboard.press(key);
  const text = (await page.getByTestId('large-reading').textContent()) ?? '';
  const read = parseFloat(/with\s+([\d.]+)/.exec(text)?.[1] ?? 'NaN') / 100;
  const value = right.attention[0]?.at(-1) ?? NaN;
  expect(value).toBeGreaterThan(0.001);
  expect(Math.abs(read - value)).toBeLessThan(0.05 * value);

  await page.getByTestId('steps').scrollIntoViewIfNeeded();
  const alternatives = page.getByTestId('steps').getByTestId('alternative');
  await expect(alternatives.first()).toBeVisible();
  const shown = await alternatives.evaluateAll((found: HTMLElement[]) =>
    found.map((each) => ({
      id: Number(each.dataset['id']),
      probability: Number(each.dataset['probability']),
      position: Number(/position (\d+)/.exec(each.getAttribute('aria-label') ?? '')?.[1]),
    })),
  );
  expect(new Set(shown.map(({ position }) => position)).size).toBe(right.ids.length);
  for (const { id, probability, position } of shown)
    expect(Math.abs(probability - (right.probabilities[position]?.[id] ?? NaN))).toBeLessThan(1e-4);
  await page.getByTestId('paths').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('paths')).toContainText('doesn’t continue it');

  // The likeliest token takes the mask's place, and what stands around it stays.
  const [first] = await page.getByTestId('candidate').all();
  const id = Number(await first?.getAttribute('data-id'));
  await first?.getByRole('button').click();
  await expect(page.locator('#next-title')).toHaveText(
    `What stands at position ${right.ids.length - 2}`,
  );
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${right.ids.length} `));
  const after = await page.getByTestId('steps').locator('.own').count();
  expect(after).toBeGreaterThan(0);
  expect(id).not.toBe(right.ids[at]);

  // A mask is a button away.
  await page.getByTestId('mask').click();
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${right.ids.length + 1} `));
  await expect(page.locator('#next-title')).toHaveText(
    `What stands at position ${right.ids.length - 1}`,
  );
});

for (const variant of ['q8', 'q4'])
  test(`weights in ${variant} give what PyTorch does, within what the bundle measured`, async ({
    page,
  }) => {
    const right = inTorch(TEXT).probabilities[3] ?? [];
    await visit(page, TEXT, '', variant);
    await expect(page.locator('#next-title')).toHaveText('What stands at position 3');
    const response = await page.request.get(bundles.url('tiny-bert'));
    const { variants } = (await response.json()) as Manifest;
    const measured = variants.find(({ name }) => name === variant)?.fidelity?.kl_p99 ?? NaN;
    const rows = page.getByTestId('candidate');
    await expect(rows.nth(9)).toBeVisible();
    const shown = await rows.evaluateAll((found: HTMLElement[]) =>
      found.map(({ dataset }) => [Number(dataset['id']), Number(dataset['probability'])] as const),
    );
    const error = Math.max(...shown.map(([id, share]) => Math.abs(share - (right[id] ?? NaN))));
    // Pinsker's inequality: no probability differs by more than the root of half the divergence.
    expect(error).toBeLessThan(Math.sqrt(measured / 2));
    // Rounded weights give other numbers than the float32 variant.
    expect(error).toBeGreaterThan(1e-7);
  });
