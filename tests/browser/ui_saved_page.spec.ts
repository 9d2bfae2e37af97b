// An analysis saved as a page: it opens from disk with the network refused, its views show PyTorch's numbers with and
// without the edits, and no text in it can become code.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { expect as plainExpect, type Page, type TestInfo } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { expectCandidates } from './shown_prediction';
import { axeFaults } from './axe_faults';
import { largestError, readFixtures, readPageEdits, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

const sentence = readFixtures('demo').prompt('sentence');
const count = sentence.ids.length;
const { cases } = readPageEdits();
const whole = reference(sentence, 'logits');
const baseline = softmax(whole.data.slice(-(whole.dims.at(-1) ?? 0)));

async function answered(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** Press the button and return where the file lies, under a name of its own. */
async function savePage(page: Page, info: TestInfo): Promise<string> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByTestId('save-page').click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/^demo_fp32_[0-9a-f]{8}_page\.html$/);
  const path = info.outputPath('saved.html');
  await download.saveAs(path);
  return path;
}

interface Opened {
  readonly page: Page;
  /** What the page asked for besides itself. */
  readonly asked: string[];
  readonly problems: string[];
}

/** Open a file from disk in a window of its own, which gets nothing from any network. */
async function openFile(page: Page, path: string): Promise<Opened> {
  const opened = await page.context().newPage();
  const url = pathToFileURL(path).href;
  const [asked, problems]: [string[], string[]] = [[], []];
  await opened.route('**/*', async (route) => {
    const { href } = new URL(route.request().url());
    if (href === url || href.startsWith('blob:') || href.startsWith('data:')) {
      await route.continue();
    } else {
      asked.push(href);
      await route.abort();
    }
  });
  opened.on('pageerror', ({ message }) => problems.push(message));
  opened.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await opened.goto(url);
  return { page: opened, asked, problems };
}

async function expectPrediction(
  page: Page,
  right: Float64Array | readonly number[],
): Promise<void> {
  const best = right.indexOf(Math.max(...right));
  await expect(page.getByTestId('candidate').first()).toHaveAttribute('data-id', String(best));
  await expectCandidates(page, right);
}

/** Save a view's numbers from the opened page, and return the tensors. */
async function numbersOf(page: Page, view: string): Promise<Record<string, number[]>> {
  const button = page.getByTestId(view).getByRole('button', { name: 'JSON', exact: true });
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  const { tensors } = JSON.parse(readFileSync(await download.path(), 'utf8')) as {
    tensors: Record<string, { values: number[] }>;
  };
  return Object.fromEntries(Object.entries(tensors).map(([name, { values }]) => [name, values]));
}

test('a saved page opens from disk and shows PyTorch’s numbers, edited and not', async ({
  page,
}, info) => {
  const [edited] = cases;
  if (edited === undefined) throw new Error('no case');
  const lens = 'layer_11_lens_ids,layer_11_lens_probs,layer_5_attn_probs';
  const state = { lang: 'en', on: 'wasm', v: 'fp32', p: sentence.text ?? '', h: '5.2', open: lens };
  const hash = new URLSearchParams({ ...state, e: JSON.stringify(edited.edits) }).toString();
  await page.goto(`/#${hash}`);
  await answered(page);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${count} `));
  await page.getByTestId('attention').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('shown-head')).toBeVisible();
  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('lens').locator('[data-cell="0.0"]')).toBeVisible();
  const path = await savePage(page, info);

  const { page: saved, asked, problems } = await openFile(page, path);
  await expectPrediction(saved, softmax(edited.logits));
  await expect(saved.getByTestId('saved-edits').locator('li')).toHaveCount(edited.edits.length);
  await saved.getByTestId('show-baseline').selectOption('baseline');
  await expectPrediction(saved, baseline);
  await expect(saved.getByTestId('shown-head')).toContainText('2');
  const attention = (await numbersOf(saved, 'attention'))['layer_5_attn_probs'] ?? [];
  const right = reference(sentence, 'layer_5_attn_probs');
  expect(attention).toHaveLength(right.data.length);
  expect(largestError(attention, right.data)).toBeLessThan(1e-4);
  const seen = await numbersOf(saved, 'lens');
  const probabilities = reference(sentence, 'layer_11_lens_probs');
  expect(largestError(seen['layer_11_lens_probs'] ?? [], probabilities.data)).toBeLessThan(1e-4);

  // What would need the model says so, and the rest works by keyboard and in both languages.
  await expect(saved.getByTestId('candidate').first().getByRole('button')).toBeDisabled();
  await saved.locator('[data-position="3"]').press('Enter');
  await expect(saved.locator('[data-position="3"]')).toHaveAttribute('aria-pressed', 'true');
  for (const language of ['en', 'zh-CN']) {
    await expect(saved.locator('html')).toHaveAttribute('lang', language);
    expect(await axeFaults(saved)).toEqual([]);
    await saved.getByTestId('language').click();
  }
  expect(asked).toEqual([]);
  expect(problems).toEqual([]);
});

test('no text in a saved page becomes code, and it may ask nobody', async ({ page }, info) => {
  const hostile = `</script><script>window.broken = 1</script><!-- \u2028 <img src=x onerror="window.broken = 2">`;
  await page.goto(`/#${new URLSearchParams({ lang: 'en', on: 'wasm', p: hostile }).toString()}`);
  await answered(page);
  const path = await savePage(page, info);
  const text = readFileSync(path, 'utf8');
  expect(text).not.toContain('<img src=x');
  expect(text.match(/<\/script>/g)).toHaveLength(2);
  const { page: saved, asked, problems } = await openFile(page, path);
  const tokens = await saved.locator('.chip .text').allTextContents();
  expect(tokens.join('').replaceAll(/[·␣\s]/g, '')).toContain('</script><script>window.broken=1');
  expect(await saved.evaluate('window.broken')).toBeUndefined();
  expect(problems).toEqual([]);
  // Even a script inside could reach nobody.
  const reached = await saved.evaluate(() =>
    fetch('http://localhost:1/').then(
      () => 'answered',
      (error: unknown) => String(error),
    ),
  );
  expect(reached).toContain('Failed to fetch');
  expect(problems.join()).toContain('Content Security Policy');
  expect(asked).toEqual([]);

  // A file that was cut says so in a line.
  const cut = info.outputPath('cut.html');
  writeFileSync(cut, text.replace(/"tensors":"[^"]{40}/, '"tensors":"'));
  const { page: damaged } = await openFile(page, cut);
  await expect(damaged.getByRole('alert')).toContainText('This page cannot show its analysis');
});
