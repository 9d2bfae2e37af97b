// A model with experts on the page: its predictions equal transformers', what its routers give is among the activations,
// and the page finds by itself that all of them are PyTorch's.
import { expect as plainExpect } from '@playwright/test';
import { askPython, checkpoints } from './ask_python';
import { startBundleServer, type BundleServer } from './bundle_server';
import { offer } from './offered_models';
import { test } from './shared_context';
import { expectCandidates } from './shown_prediction';

const expect = plainExpect.configure({ timeout: 60_000 });
test.use({ comparesDevice: true });
const IDS = [5, 17, 2, 40, 8, 33];

interface Routed {
  readonly next: readonly number[];
}

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

test('what routers give is offered, and computed as PyTorch does', async ({ page }) => {
  const right = askPython(
    'read_experts.py',
    [checkpoints['tiny-mixtral']],
    JSON.stringify(IDS),
  ) as Routed;
  const last = 'layer_1_expert_ids';
  await offer(page, { model: bundles.url('tiny-mixtral') });
  await page.goto(`/#lang=en&on=wasm&model=model&v=fp32&p=${IDS.join('+')}&a=${last}&open=${last}`);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${IDS.length} `));
  await expectCandidates(page, right.next);
  const panel = page.getByTestId('activations');
  await panel.scrollIntoViewIfNeeded();
  await expect(panel.getByRole('heading', { level: 3 })).toHaveText(last);
  // The link opens it by its name, so that its numbers are there to be taken along.
  await expect(panel.getByRole('button', { name: 'CSV' })).toBeVisible();
  for (const kind of ['router_logits', 'router_probs', 'expert_ids', 'expert_weights'])
    await expect(page.getByTestId(`tap-layer_1_${kind}`)).toBeVisible();
  // Experts have no neurons of the whole layer.
  await expect(page.getByTestId('tap-layer_1_mlp_act')).toHaveCount(0);
  // Every activation, those of the router among them, as PyTorch computed it.
  await expect(page.getByTestId('proof-in-brief')).toContainText('matches PyTorch to');
});
