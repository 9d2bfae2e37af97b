// Variants on the page: figures before a download, choosing, switching on the way, failing, and two side by side.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Page } from '@playwright/test';
import { sessionGraph } from '../../apps/web/src/contract/variant_graphs';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { information, bytes, percent } from '../../apps/web/src/i18n/number_format';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
test.use({ comparesDevice: true });

const bundle = fileURLToPath(
  new URL('../../apps/web/static/models/demo/manifest.json', import.meta.url),
);
const sentence = readFixtures('demo').prompt('sentence');

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

function readManifest(): Manifest {
  return JSON.parse(readFileSync(bundle, 'utf8')) as Manifest;
}

/** Opens the page on this bundle and nothing else. */
async function visit(page: Page, hash: string, url = bundles.url('demo')): Promise<void> {
  await page.route('**/models/index.json', (route) =>
    route.fulfill({
      json: [{ name: 'demo', path: url, architecture: 'gpt2', parameters: 1, bytes: 1 }],
    }),
  );
  await page.goto(`/#lang=en&on=wasm${hash}`);
}

async function answered(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

test('each variant shows its figures from the manifest, and the chosen one opens and stays', async ({
  page,
}) => {
  const { variants, files, tokenizer } = readManifest();
  await visit(page, '');
  await answered(page);
  const bar = page.getByTestId('variant-bar');
  await expect(bar).toContainText('fp32 on WebAssembly');
  await expect(page.getByTestId('choice-reason')).toContainText('you chose WebAssembly', {
    ignoreCase: true,
  });
  await page.getByTestId('variants-toggle').click();
  for (const variant of variants) {
    const { name, weights, fidelity } = variant;
    const row = page.getByTestId(`variant-${name}`);
    const ofText = [tokenizer?.tokenizer, tokenizer?.config, tokenizer?.cases];
    const opened = [...weights, sessionGraph(variant).path, ...ofText];
    const size = files.reduce(
      (sum, file) => sum + (opened.includes(file.path) ? file.bytes : 0),
      0,
    );
    await expect(row).toContainText(bytes(size));
    if (fidelity === undefined) await expect(row).toContainText('not measured');
    else {
      await expect(row.getByTestId('kl')).toHaveText(information(fidelity.kl_mean));
      await expect(row).toContainText(percent(fidelity.top1));
    }
  }
  const q4 = variants.find(({ name }) => name === 'q4')?.fidelity;
  await page.getByTestId('variant-q4').getByRole('button').click();
  await expect(bar).toContainText('q4 on WebAssembly');
  await answered(page);
  await expect(page.getByTestId('fidelity')).toHaveText(
    `KL ${information(q4?.kl_mean ?? NaN)} · same top token ${percent(q4?.top1 ?? NaN)}`,
  );
  await expect(page).toHaveURL(/v=q4/);
  await page.reload();
  await expect(bar).toContainText('q4 on WebAssembly');
  await page.getByTestId('variants-toggle').click();
  await page.getByTestId('choose-for-me').click();
  await expect(bar).toContainText('fp32');
  await expect(page).not.toHaveURL(/v=q4/);
});

test('a download that drags on can be left for another variant', async ({ page }) => {
  await visit(page, '', bundles.url('demo', 'model.onnx.data', 'stalled'));
  await expect(page.getByRole('progressbar')).toHaveAttribute('value', /0\.\d+/);
  await page.getByTestId('variants-toggle').click();
  await page.getByTestId('variant-q8').getByRole('button').click();
  await answered(page);
  await expect(page.getByTestId('variant-bar')).toContainText('q8 on WebAssembly');
});

test('without a network, what is open stays, and what is kept opens', async ({ page }) => {
  const weights = /\.(onnx|data|bin)$/;
  await visit(page, '');
  await answered(page);
  const bar = page.getByTestId('variant-bar');
  const declined = page.getByTestId('declined');
  const first = page.getByTestId('candidate').first();
  const probability = (await first.getAttribute('data-probability')) ?? '';
  await page.route(weights, (route) => route.abort('internetdisconnected'));
  const choose = async (name: string): Promise<void> => {
    await page.getByTestId('variants-toggle').click();
    await page.getByTestId(`variant-${name}`).getByRole('button').click();
  };
  await choose('q4');
  await expect(declined.getByRole('alert')).toHaveAttribute('data-kind', 'network');
  await expect(declined).toContainText('fp32 stays open');
  await expect(bar).toContainText('fp32 on WebAssembly');
  await expect(first).toHaveAttribute('data-probability', probability);
  await expect(page).not.toHaveURL(/v=q4/);
  const count = page.getByTestId('token-count');
  const before = parseInt((await count.textContent()) ?? '', 10);
  await page.getByTestId('step').click();
  await expect(count).toHaveText(new RegExp(`^${before + 1} `));
  await declined.getByRole('button').click();
  await expect(declined).toHaveCount(0);

  await page.unroute(weights);
  await choose('q4');
  await expect(bar).toContainText('q4 on WebAssembly');
  await answered(page);
  await page.route(weights, (route) => route.abort('internetdisconnected'));
  await choose('fp32');
  await expect(bar).toContainText('fp32 on WebAssembly');
  await answered(page);
  await expect(declined).toHaveCount(0);
});

test('a variant that will not work here says why, and the next that will is a button', async ({
  page,
}) => {
  await page.route('**/manifest.json', async (route) => {
    const response = await route.fetch();
    const manifest = (await response.json()) as Manifest;
    for (const { name, expansion } of manifest.variants)
      if (name === 'q4' && expansion !== undefined) expansion.bytes = 6e9;
    await route.fulfill({ response, json: manifest });
  });
  await visit(page, '&v=q4');
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'variant-refused');
  await expect(alert).toContainText('q4 cannot run on WebAssembly here');
  const row = page.getByTestId('variant-q4');
  await expect(row).toHaveAttribute('data-works', 'false');
  await expect(row).toContainText(/\d\u202fGB/);
  await expect(row.getByRole('button')).toHaveCount(0);
  await page.getByTestId('next-variant').click();
  await answered(page);
  await expect(alert).toHaveCount(0);
  await expect(page.getByTestId('variant-bar')).not.toContainText('q4 on');
});

test('two variants side by side: their predictions, how far apart, and one head of both', async ({
  page,
}) => {
  const text = encodeURIComponent(sentence.text ?? '');
  await visit(page, `&p=${text}`);
  await answered(page);
  // A proof may have a worker of its own.
  await expect(page.getByTestId('proof-in-brief')).toContainText('matches PyTorch to');
  const alone = page.workers().length;
  const compare = page.getByTestId('compare');
  await page.getByTestId('to-compare').click();
  await compare.getByRole('combobox', { name: 'Beside' }).selectOption('q4');
  const load = page.getByTestId('compare-load');
  const { files } = readManifest();
  const weights = files.find(({ path }) => path.includes('q4'))?.bytes ?? NaN;
  const shown = Number(/([\d.]+)\u202fMB/.exec((await load.textContent()) ?? '')?.[1]);
  expect(shown).toBeGreaterThan(weights / 1e6);
  await load.click();
  await expect(page).toHaveURL(/vs=q4/);

  // A is the page's float32, so PyTorch's; B is what a page with q4 alone shows.
  const { dims, data } = reference(sentence, 'logits');
  const truth = softmax(Array.from(data.subarray(-(dims.at(-1) ?? 0))));
  const pairs = compare.getByTestId('pair');
  await expect(pairs.first()).toBeVisible();
  const b = new Map<string, number>();
  for (const pair of await pairs.all()) {
    const id = (await pair.getAttribute('data-id')) ?? '';
    const ofA = Number(await pair.getAttribute('data-a'));
    expect(Math.abs(ofA - (truth[Number(id)] ?? NaN))).toBeLessThan(1e-4);
    b.set(id, Number(await pair.getAttribute('data-b')));
  }
  await expect(page.getByTestId('divergence')).toContainText('KL(fp32 ‖ q4) is');

  await page.getByTestId('difference-layer').selectOption('5');
  await page.getByTestId('difference-head').selectOption('2');
  const map = page.getByTestId('difference-map');
  await map.focus();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowRight');
  const attention = reference(sentence, 'layer_5_attn_probs');
  const n = attention.dims.at(-1) ?? 0;
  const weight = attention.data[(2 * n + (n - 2)) * n + 1] ?? NaN;
  await expect(page.getByTestId('difference-reading')).toContainText(`with ${percent(weight)} and`);

  await page.setViewportSize({ width: 390, height: 844 });
  await expect(pairs.first()).toBeVisible();
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBe(0);

  await page.getByTestId('compare-close').click();
  await expect(pairs).toHaveCount(0);
  await expect.poll(() => page.workers().length).toBe(alone);
  await expect(page).not.toHaveURL(/vs=/);

  await visit(page, `&p=${text}&v=q4`);
  await page.reload();
  await answered(page);
  await expect(page.getByTestId('variant-bar')).toContainText('q4');
  for (const [id, probability] of b) {
    const row = page.locator(`[data-testid=candidate][data-id="${id}"]`);
    if ((await row.count()) === 0) continue;
    const alone = Number(await row.getAttribute('data-probability'));
    expect(Math.abs(alone - probability)).toBeLessThan(1e-5);
  }
});
