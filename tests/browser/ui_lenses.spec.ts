// The lens view with the bundled model's tuned lens: it is offered in both languages, its file is downloaded when it is
// selected, and the numbers equal PyTorch's.
import { expect as plainExpect, type Page } from '@playwright/test';
import { askPython } from './ask_python';
import { readFixtures, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const sentence = readFixtures('demo').prompt('sentence');
const layers = 12;

async function openLens(page: Page, hash: string): Promise<void> {
  await page.goto(`/#${hash}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  const open = page.getByTestId('open-lens');
  await open.click();
  await expect(page.locator('[data-testid=lens] .row')).toHaveCount(layers + 1);
}

/** Return the probability of each layer's most likely token at each position, as the view saves it. */
async function saved(page: Page): Promise<{ name: string; rows: Record<string, string>[] }> {
  const button = page.getByTestId('lens').getByRole('button', { name: 'CSV' });
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  const path = await download.path();
  const [head = [], ...rows] = askPython('read_table.py', ['table', path]) as string[][];
  return {
    name: download.suggestedFilename(),
    rows: rows.map((row) => Object.fromEntries(head.map((title, at) => [title, row[at] ?? '']))),
  };
}

/** Expect the saved rows to equal PyTorch's predictions through a lens. */
function expectRead(rows: readonly Record<string, string>[], lens: string): void {
  const [ids, probs] = ['ids', 'probs'].map((part) =>
    Array.from({ length: layers }, (_, layer) =>
      reference(sentence, `layer_${layer}_${lens}_${part}`),
    ),
  );
  const best = rows.filter((row) => row['rank'] === '1');
  expect(best).toHaveLength(layers * sentence.ids.length);
  for (const row of best) {
    const [layer, position] = [Number(row['layer']), Number(row['position'])];
    const at = position * 10;
    const [first = 0, second = 0] = probs?.[layer]?.data.slice(at, at + 2) ?? [];
    expect(Math.abs(Number(row['probability']) - first)).toBeLessThan(1e-4);
    if (first - second > 1e-4) expect(Number(row['guess_id'])).toBe(ids?.[layer]?.data[at]);
  }
}

test("the tuned lens is downloaded when it is selected, and its numbers equal PyTorch's", async ({
  page,
}) => {
  const fetched: string[] = [];
  page.context().on('request', (request) => {
    if (/\/lens_\w+\.safetensors/.test(request.url())) fetched.push(request.url());
  });
  await openLens(page, `lang=en&p=${encodeURIComponent(sentence.text ?? '')}`);
  expectRead((await saved(page)).rows, 'lens');
  expect(fetched).toEqual([]);
  const choice = page.getByTestId('lens-choice');
  await expect(choice).toHaveValue('logit');
  await expect(page.getByTestId('lens-divergence')).toHaveCount(0);
  await choice.selectOption('tuned');
  await expect(page.getByTestId('lens-divergence')).toContainText('nats');
  await expect(choice).toHaveValue('tuned');
  await expect(page.locator('#lens-title')).toHaveText('Tuned lens');
  await expect(page).toHaveURL(/lens=tuned/);
  // The lens is named once it is open, and the text is run again behind that.
  await expect(async () => {
    const { name, rows } = await saved(page);
    expect(name).toMatch(/^demo_\w+_[0-9a-f]{8}_tuned_lens\.csv$/);
    expectRead(rows, 'tuned');
  }).toPass();
  expect(fetched).toHaveLength(1);
  await choice.selectOption('logit');
  await expect(page.getByTestId('lens-divergence')).toHaveCount(0);
  await expect(page.locator('#lens-title')).toHaveText('Logit lens');
  await expect(page).not.toHaveURL(/lens=/);
  await expect(async () => {
    expectRead((await saved(page)).rows, 'lens');
  }).toPass();
  await choice.selectOption('tuned');
  await expect(page.getByTestId('lens-divergence')).toBeVisible();
});

test('a link opens its lens, and one of another bundle says that it was ignored', async ({
  page,
}) => {
  await openLens(page, `lang=zh&lens=tuned&p=${encodeURIComponent(sentence.text ?? '')}`);
  await expect(page.getByTestId('lens-choice')).toHaveValue('tuned');
  await expect(page.locator('#lens-title')).toHaveText('Tuned lens：逐层预测');
  await page.goto('about:blank');
  await page.goto('/#lang=en&lens=prism');
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('link-note')).toContainText('lens (lens=prism)');
  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  await expect(page.locator('#lens-title')).toHaveText('Logit lens');
  await expect(page).not.toHaveURL(/lens=/);
});

test('the choice of lenses is in Chinese on the Chinese page', async ({ page }) => {
  await openLens(page, 'lang=zh');
  const choice = page.getByTestId('lens-choice');
  await expect(choice.locator('option')).toHaveText([/logit lens/, /调谐透镜/]);
  await choice.selectOption('tuned');
  await expect(page.getByTestId('lens-divergence')).toContainText('奈特');
  await expect(page.locator('#lens-title')).toHaveText('Tuned lens：逐层预测');
});
