// The page on the real bundled model, as a reader uses it: text, predictions, heads, taps, lens, languages, errors.
import { expect as plainExpect, type Page } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { percent } from '../../apps/web/src/i18n/number_format';
import { readFixtures, reference } from './fixtures';
import { test } from './shared_context';

// A busy machine may take its time; what is measured is what appears, not when.
const expect = plainExpect.configure({ timeout: 30_000 });

const sentence = readFixtures('demo').prompt('sentence');

/** Waits until the page answers for this text and stands still. */
async function answered(page: Page, tokens?: number): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  if (tokens !== undefined)
    await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${tokens} `));
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

async function opened(page: Page, hash = 'lang=en'): Promise<void> {
  await page.goto(`/#${hash}`);
  await answered(page);
}

function withPrompt(text: string, more = ''): string {
  return `lang=en&p=${encodeURIComponent(text)}${more}`;
}

test('a newcomer sees attention for a sentence without doing anything', async ({ page }) => {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await opened(page);
  await expect(page.getByTestId('head-0-0')).toBeVisible();
  await expect(page.getByTestId('large-map')).toBeVisible();
  const map = page.getByTestId('head-11-0').locator('canvas');
  await map.scrollIntoViewIfNeeded();
  await expect.poll(() => map.evaluate(inked)).toBe(true);
  expect(problems).toEqual([]);
});

/** Whether a canvas holds anything. */
function inked(canvas: Element): boolean {
  const context = (canvas as HTMLCanvasElement).getContext('2d');
  const { width, height } = canvas as HTMLCanvasElement;
  return context?.getImageData(0, 0, width, height).data.some((byte) => byte !== 0) ?? false;
}

test('chips and probabilities are those of PyTorch', async ({ page }) => {
  const { text, ids } = sentence;
  await opened(page, withPrompt(text ?? ''));
  await answered(page, ids.length);
  const shown = await page.locator('.chip .id').allTextContents();
  expect(shown.map(Number)).toEqual(ids);

  const { dims, data } = reference(sentence, 'logits');
  const vocab = dims.at(-1) ?? 0;
  const truth = softmax(Array.from(data.subarray(data.length - vocab)));
  const candidates = await page.getByTestId('candidate').all();
  expect(candidates).toHaveLength(10);
  let before = Infinity;
  for (const candidate of candidates) {
    const id = Number(await candidate.getAttribute('data-id'));
    const probability = Number(await candidate.getAttribute('data-probability'));
    expect(Math.abs(probability - (truth[id] ?? NaN))).toBeLessThan(1e-4);
    expect(probability).toBeLessThanOrEqual(before);
    before = probability;
  }
});

test('what the large map reads out is PyTorch’s attention', async ({ page }) => {
  await opened(page, withPrompt(sentence.text ?? '', '&h=5.2'));
  await answered(page, sentence.ids.length);
  const { dims, data } = reference(sentence, 'layer_5_attn_probs');
  const n = dims.at(-1) ?? 0;
  const map = page.getByTestId('large-map');
  await map.focus();
  // From the first key of the last row.
  await page.keyboard.press('ArrowUp');
  for (let step = 0; step < 3; step++) await page.keyboard.press('ArrowRight');
  const value = data[(2 * n + (n - 2)) * n + 3] ?? NaN;
  await expect(page.getByTestId('large-reading')).toContainText('␣book  looks at');
  const text = (await page.getByTestId('large-reading').textContent()) ?? '';
  const read = parseFloat(/with\s+([\d.]+)/.exec(text)?.[1] ?? 'NaN') / 100;
  // Small values are shown with two digits.
  expect(Math.abs(read - value)).toBeLessThan(0.05 * value + 1e-6);
});

test('a head is locked by click and by keyboard and let go by Escape', async ({ page }) => {
  await opened(page);
  const shown = page.getByTestId('shown-head');
  const unlocked = (await shown.textContent())?.trim() ?? '';
  await page.getByTestId('head-5-1').hover();
  await expect(shown).toHaveText('Layer 5, head 1');
  await page.getByTestId('head-5-1').click();
  await page.mouse.move(5, 5);
  await expect(shown).toContainText('Layer 5, head 1');
  await expect(shown).toContainText('locked');
  await expect(page).toHaveURL(/h=5\.1/);
  await page.keyboard.press('Escape');
  await expect(shown).toHaveText(unlocked);

  await page.getByTestId('head-11-0').focus();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('head-5-1')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('head-5-1')).toHaveAttribute('aria-pressed', 'true');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('head-5-1')).toHaveAttribute('aria-pressed', 'false');
});

test('generation steps, plays, stops, and takes back', async ({ page }) => {
  // Without a token that ends the text, only the reader ends it.
  await page.route('**/models/demo/manifest.json', async (route) => {
    const response = await route.fetch();
    const manifest = (await response.json()) as { model: Record<string, unknown> };
    manifest.model['eos_token_id'] = null;
    delete manifest.model['end_token_ids'];
    await route.fulfill({ response, json: manifest });
  });
  await opened(page);
  const count = async (): Promise<number> =>
    parseInt((await page.getByTestId('token-count').textContent()) ?? '', 10);
  const start = await count();
  await page.getByTestId('step').click();
  await answered(page, start + 1);
  await expect(page.locator('.chip.generated')).toHaveCount(1);
  await expect(page.getByTestId('step-time')).toContainText(`token ${start + 1} in`);

  await page.getByTestId('play').click();
  await expect.poll(count).toBeGreaterThan(start + 4);
  await page.getByTestId('stop').click();
  await expect(page.getByTestId('play')).toBeVisible();
  await answered(page);
  const stopped = await count();
  await page.getByTestId('back').click();
  await answered(page, stopped - 1);

  const candidate = page.getByTestId('candidate').nth(2);
  const id = await candidate.getAttribute('data-id');
  await candidate.getByRole('button').click();
  await answered(page, stopped);
  await expect(page.locator('.chip .id').last()).toHaveText(id ?? '');
});

test('cached steps give what a fresh run of the same text gives', async ({ page }) => {
  await opened(page, 'lang=en&s=0_0_1');
  for (let step = 0; step < 3; step++) await page.getByTestId('step').click();
  await expect(page.locator('.chip.generated')).toHaveCount(3);
  await answered(page);
  const read = async (): Promise<number[]> =>
    (await page.getByTestId('candidate').all()).reduce<Promise<number[]>>(
      async (list, row) => [
        ...(await list),
        Number(await row.getAttribute('data-id')),
        Number(await row.getAttribute('data-probability')),
      ],
      Promise.resolve([]),
    );
  const stepped = await read();
  const text = await page.locator('#prompt').inputValue();
  await opened(page, withPrompt(text, '&s=0_0_1'));
  await page.reload();
  await answered(page);
  const fresh = await read();
  fresh.forEach((value, at) => {
    expect(Math.abs(value - (stepped[at] ?? NaN))).toBeLessThan(1e-4);
  });
});

test('a layer that was not exported is opened from the page through its tap', async ({ page }) => {
  await opened(page);
  await expect(page.getByTestId('head-3-0')).toHaveCount(0);
  await page.getByTestId('activations').or(page.locator('footer')).first().scrollIntoViewIfNeeded();
  const tap = page.getByTestId('tap-layer_3_mlp_act');
  await tap.scrollIntoViewIfNeeded();
  await expect(tap).toHaveAttribute('data-state', 'closed');
  await tap.click();
  await expect(tap).toHaveAttribute('data-state', 'tapped');
  await expect(page.getByTestId('strip-reading')).toContainText('has length');
  await page.getByTestId('strip').focus();
  await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('strip-reading')).toContainText('dimension 1:');
  await expect(page).toHaveURL(/open=/);

  await page.getByTestId('open-all-layers').click();
  await expect(page.getByTestId('head-3-0')).toBeVisible();
  await expect(page.locator('[data-testid^="head-"][role], [data-testid^="head-"]')).toHaveCount(
    48,
  );
  await answered(page);
  await page.getByTestId('close-tap').click();
  await expect(tap).toHaveAttribute('data-state', 'closed');
});

test('numbers of a strip are PyTorch’s', async ({ page }) => {
  await opened(page, withPrompt(sentence.text ?? '', '&a=layer_0_resid_post'));
  await answered(page, sentence.ids.length);
  await page.getByTestId('strip').scrollIntoViewIfNeeded();
  await page.getByTestId('strip').focus();
  for (let step = 0; step < 5; step++) await page.keyboard.press('ArrowRight');
  const { dims, data } = reference(sentence, 'layer_0_resid_post');
  const width = dims.at(-1) ?? 0;
  const value = data[data.length - width + 5] ?? NaN;
  const text = (await page.getByTestId('strip-reading').textContent()) ?? '';
  const read = Number(/dimension 5: (\S+)/.exec(text)?.[1]?.replace('−', '-'));
  expect(Math.abs(read - value)).toBeLessThan(1e-3 * Math.max(1, Math.abs(value)));
});

test('the logit lens ends in the real prediction', async ({ page }) => {
  await opened(page);
  await page.getByTestId('lens').scrollIntoViewIfNeeded();
  const reading = page.getByTestId('lens-reading');
  await expect(reading).toContainText('After layer 11');
  const best = page.getByTestId('candidate').first();
  const label = (await best.locator('th').textContent())?.trim() ?? '';
  await expect(page.getByTestId('lens').locator('ol li').first()).toContainText(label);
  const cell = page.locator('[data-cell="11.9"][role="gridcell"]');
  await cell.focus();
  // The next key may come in the same moment.
  const focused = await cell.evaluate((element) => {
    const up = { key: 'ArrowUp', bubbles: true, cancelable: true };
    element.dispatchEvent(new KeyboardEvent('keydown', up));
    return document.activeElement?.getAttribute('data-cell');
  });
  expect(focused).toBe('10.9');
  await expect(reading).toContainText('After layer 10');
  await page.keyboard.press('Enter');
  await page.mouse.move(5, 5);
  await expect(page.locator('[data-cell="10.9"][role="gridcell"]')).toHaveAttribute(
    'aria-selected',
    'true',
  );
  await page.keyboard.press('Escape');
  await expect(reading).toContainText('After layer 11');
});

test('a head that is switched off changes the prediction, and the page says so', async ({
  page,
}) => {
  await opened(page);
  const first = page.getByTestId('candidate').first();
  const before = await first.getAttribute('data-probability');
  await page.getByTestId('head-5-2').click();
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 2');
  await page.getByTestId('toggle-head').click();
  await expect(page.getByTestId('off-badge')).toContainText('1 head is switched off');
  await expect(page.getByTestId('head-effect').locator('tbody tr').first()).toBeVisible();
  await answered(page);
  const id = await first.getAttribute('data-id');
  const again = page.locator(`[data-testid=candidate][data-id="${id ?? ''}"]`);
  expect(await again.getAttribute('data-probability')).not.toBe(before);
  await expect(page).toHaveURL(/off=5\.2/);
  await page.getByTestId('restore').click();
  await expect(page.getByTestId('off-badge')).toHaveCount(0);
  await expect(first).toHaveAttribute('data-probability', before ?? '');
});

test('with heads off, both columns are PyTorch’s: before and after', async ({ page }) => {
  const { headsOff } = readFixtures('demo');
  const off = headsOff.map((head) => head.join('.')).join('_');
  await opened(page, withPrompt(sentence.text ?? '', `&off=${off}`));
  await answered(page, sentence.ids.length);
  const last = (name: string): Float64Array => {
    const { data } = reference(sentence, name);
    const vocab = reference(sentence, 'logits').dims.at(-1) ?? 0;
    return softmax(Array.from(data.subarray(-vocab)));
  };
  const before = last('logits');
  const after = last('logits_heads_off');
  const first = page.getByTestId('candidate').first();
  const id = Number(await first.getAttribute('data-id'));
  const shown = Number(await first.getAttribute('data-probability'));
  expect(Math.abs(shown - (after[id] ?? NaN))).toBeLessThan(1e-4);
  for (const [column, truth] of [before, after].entries()) {
    // The table starts with the token that was likeliest before.
    const best = before.indexOf(Math.max(...before));
    const cell = page.getByTestId('head-effect').locator('tbody tr').first().locator('td');
    await expect(cell.nth(column)).toHaveText(percent(truth[best] ?? NaN));
  }
  const nats = before.reduce((sum, p, at) => sum + p * Math.log(p / (after[at] ?? NaN)), 0);
  const caption = await page.getByTestId('head-effect').locator('caption').textContent();
  const said = Number(/([\d.]+) nats apart/.exec(caption ?? '')?.[1]);
  expect(Math.abs(said - nats)).toBeLessThan(0.006 * Math.max(1, nats));
  expect(percent(Math.max(...before))).not.toBe(
    percent(after[before.indexOf(Math.max(...before))] ?? NaN),
  );
});

test('an address shows the same thing to another reader', async ({ page, context }) => {
  await opened(page);
  await page.locator('#prompt').fill('Lucy said, "The kite is red');
  await expect(page.locator('.chip').first()).toContainText('Lucy');
  await answered(page);
  await page.getByTestId('head-0-3').click();
  await page.locator('.chip').nth(2).click();
  await expect(page).toHaveURL(/h=0\.3/);
  await expect(page).toHaveURL(/t=2/);
  const other = await context.newPage();
  await other.goto(page.url());
  await answered(other);
  await expect(other.locator('#prompt')).toHaveValue('Lucy said, "The kite is red');
  await expect(other.getByTestId('head-0-3')).toHaveAttribute('aria-pressed', 'true');
  await expect(other.locator('.chip').nth(2)).toHaveAttribute('aria-pressed', 'true');
});

test('language and colours follow the browser and their switches', async ({ browser, baseURL }) => {
  const context = await browser.newContext({
    locale: 'zh-CN',
    colorScheme: 'dark',
    ...(baseURL === undefined ? {} : { baseURL }),
  });
  const page = await context.newPage();
  await page.goto('/');
  await answered(page);
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.getByRole('heading', { name: '注意力', exact: true })).toBeVisible();
  // The texts of the other language are fetched when they are asked for, which can fail.
  await page.route('**/*.js', (route) => route.abort());
  await page.getByTestId('language').click();
  await expect(page.getByTestId('language-missing')).toContainText('没有下载成功');
  await page.unroute('**/*.js');
  await page.getByTestId('language').click();
  await expect(page.getByTestId('language-missing')).toHaveCount(0);
  await expect(page.getByRole('heading', { name: 'Attention', exact: true })).toBeVisible();
  await page.getByTestId('theme').click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await page.reload();
  await answered(page);
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await context.close();
});

for (const width of [390, 768, 1024])
  test(`nothing runs out of a window ${width} pixels wide`, async ({ page }) => {
    await page.setViewportSize({ width, height: 844 });
    await opened(page);
    for (const part of ['lens', 'activations', 'features', 'facts']) {
      await page.getByTestId(part).scrollIntoViewIfNeeded();
      await page.waitForTimeout(200);
    }
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBe(0);
  });

test('hostile text and names are text', async ({ page }) => {
  const evil = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
  await page.route('**/models/demo/manifest.json', async (route) => {
    const response = await route.fetch();
    const manifest = (await response.json()) as {
      model: { name: string; source: { note?: string } };
    };
    manifest.model.name = evil;
    manifest.model.source.note = evil;
    await route.fulfill({ response, json: manifest });
  });
  await opened(page, withPrompt(evil));
  await page.getByTestId('facts').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('facts')).toContainText('<img src=x onerror');
  expect(await page.locator('#app img, #app script').count()).toBe(0);
  expect(await page.evaluate(() => 'pwned' in window)).toBe(false);
});

test('white space and partial characters are visible', async ({ page }) => {
  await opened(page, withPrompt('a\n\té'));
  const chips = await page.locator('.chip .text').allTextContents();
  expect(chips.join('|')).toContain('↵');
  expect(chips.join('|')).toContain('⇥');
  expect(chips.join('')).toMatch(/C3.*A9|é/);
});

test('a text beyond the context is read as far as it goes, and the page says so', async ({
  page,
}) => {
  await opened(page, withPrompt('lamp fox seven river '.repeat(100)));
  await expect(page.getByTestId('too-long')).toContainText('256 at most');
  await answered(page, 256);
  await expect(page.getByTestId('play')).toBeDisabled();
});

test('an error says what to do, and trying again works', async ({ page }) => {
  let broken = true;
  await page.route('**/models/demo/model.onnx.data', async (route) => {
    if (broken) await route.fulfill({ status: 404, body: 'gone' });
    else await route.continue();
  });
  await page.goto('/#lang=en');
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'not-found');
  await expect(alert).toContainText('model.onnx.data');
  await expect(alert).toContainText('HTTP 404');
  broken = false;
  await alert.getByRole('button', { name: 'Try again' }).click();
  await answered(page);
  await expect(alert).toHaveCount(0);
});

test('a download can be stopped and started again', async ({ page }) => {
  let slow = true;
  await page.route('**/models/demo/model.onnx.data', async (route) => {
    if (slow) await new Promise((resolve) => setTimeout(resolve, 4000));
    await route.continue().catch(() => undefined);
  });
  await page.goto('/#lang=en');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(page.getByRole('alert')).toHaveAttribute('data-kind', 'aborted');
  slow = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await answered(page);
});

test('what ran is told', async ({ page }) => {
  await opened(page, 'lang=en&on=wasm');
  const facts = page.getByTestId('facts');
  await facts.scrollIntoViewIfNeeded();
  await expect(facts.getByTestId('provider-fact')).toContainText('WebAssembly');
  await expect(facts).toContainText('because you chose it');
  await expect(facts).toContainText('bundled with Oriel');
  await expect(facts.getByTestId('prompt-time')).toContainText('10 tokens in');
});
