// The attribution view: every number that it shows, through the data that it draws, equals PyTorch's, on the bundled model
// and on a random one; its pictures have the colours of these numbers; it works by keyboard, follows the text while it is
// open alone, can be cancelled, and says in a sentence where there is nothing to attribute.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { byKey, byQuery } from '../../apps/web/src/analysis/qk_attribution';
import type { ValueScale } from '../../apps/web/src/charts/colour_ramps';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { largestError, readFixtures, reference, type Prompt } from './fixtures';
import { offer } from './offered_models';
import { difference, drawingOf, expectBackgrounds } from './pixels';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

interface Case {
  readonly name: string;
  readonly fixtures: string;
  /** Text of the two tokens whose logits are attributed; ids where the model has no tokenizer. */
  readonly typed: readonly [string, string];
  /** Most that a share may differ from PyTorch's. */
  readonly within: number;
}
const cases: readonly Case[] = [
  { name: 'the bundled model', fixtures: 'demo', typed: ["'", 'H'], within: 2e-4 },
  {
    name: 'a random model without biases',
    fixtures: 'tiny-llama',
    typed: ['7', '40'],
    within: 2e-4,
  },
];

const view = (page: Page): Locator => page.getByTestId('attribution');
const cell = (page: Page, part: string): Locator => view(page).locator(`[data-part="${part}"]`);

async function visit(page: Page, model: string, hash = 'lang=en'): Promise<Prompt> {
  const prompt = readFixtures(model).prompt('sentence');
  const text = encodeURIComponent(prompt.text ?? prompt.ids.join(' '));
  const url = model === 'demo' ? 'demo/manifest.json' : bundles.url(model);
  await offer(page, { model: url });
  await page.goto(`/#${hash}&on=wasm&model=model&p=${text}`);
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${prompt.ids.length} `));
  await view(page).scrollIntoViewIfNeeded();
  return prompt;
}

interface Question {
  readonly answer?: number;
  readonly other?: number;
  /** The token whose prediction is attributed. */
  readonly at?: number;
}

/** Wait until the newest question has its answer, and that it is this one: the page may not have begun with it yet. */
async function settled(page: Page, question: Question = {}): Promise<void> {
  const asked = Object.entries(question).map(([what, value]) => `[data-${what}="${value}"]`);
  const sum = `[data-testid=attribution-sum]${asked.join('')}`;
  await expect(page.locator(`[data-testid=attribution] .found:not(.stale) ${sum}`)).toBeVisible();
}

async function open(page: Page): Promise<void> {
  await page.getByTestId('open-attribution').click();
  await settled(page);
}

async function type(page: Page, side: 'answer' | 'other', text: string): Promise<void> {
  await page.getByTestId(`attributed-${side}`).selectOption('typed');
  await page.getByTestId('attributed-text').fill(text);
  await page.getByTestId('attributed-text').press('Enter');
}

async function sharesOf(elements: Locator): Promise<number[]> {
  return elements.evaluateAll((all) =>
    all.map((element) => {
      const { share, value } = (element as HTMLElement).dataset;
      return Number(share ?? value);
    }),
  );
}

/** Return a row of a reference, (rows, width). */
function row(prompt: Prompt, name: string, at: number, width: number): number[] {
  return [...reference(prompt, name).data.slice(at * width, (at + 1) * width)];
}

function expectNear(
  got: readonly number[],
  right: readonly number[],
  within: number,
  what: string,
) {
  expect(got.length, what).toBe(right.length);
  const error = largestError(Float32Array.from(got), Float32Array.from(right));
  expect(error, what).toBeLessThanOrEqual(within);
}

/** Expect every part of the map, and the sum, to be PyTorch's at a token. */
async function expectParts(page: Page, prompt: Prompt, token: number, within: number) {
  const tokens = prompt.ids.length;
  const at = (name: string): number => reference(prompt, `attribution_${name}`).data[token] ?? NaN;
  const one = async (part: string): Promise<number> => {
    const [share = NaN] = await sharesOf(cell(page, part));
    return share;
  };
  expect(Math.abs((await one('embedding')) - at('embedding'))).toBeLessThanOrEqual(within);
  const layers = await view(page).locator('[data-sum^=layer]').count();
  for (let layer = 0; layer < layers; layer++) {
    const heads = reference(prompt, `attribution_heads_${layer}`).data;
    const right = Array.from(
      { length: heads.length / tokens },
      (_, head) => heads[head * tokens + token] ?? NaN,
    );
    const shown = await sharesOf(view(page).locator(`[data-part^="head ${layer} "]`));
    expectNear(shown, right, within, `heads of layer ${layer}`);
    expectNear([await one(`mlp ${layer}`)], [at(`mlp_${layer}`)], within, `MLP ${layer}`);
    const rest = cell(page, `attention_rest ${layer}`);
    expectNear(
      (await rest.count()) === 0 ? [0] : await sharesOf(rest),
      [at(`rest_${layer}`)],
      within,
      `bias ${layer}`,
    );
    const sum = right.reduce((total, share) => total + share, at(`rest_${layer}`));
    const sums = await sharesOf(view(page).locator(`[data-sum$=" ${layer}"]`));
    expectNear(sums, [sum, sum + at(`mlp_${layer}`)], 5 * within, `sums of layer ${layer}`);
  }
  const shown = page.getByTestId('attribution-sum');
  const [logit, sum] = await Promise.all(
    ['data-logit', 'data-sum'].map(async (name) => Number(await shown.getAttribute(name))),
  );
  expectNear([logit ?? NaN, sum ?? NaN], [at('logit'), at('logit')], 5 * within, 'logit and sum');
}

for (const { name, fixtures, typed, within } of cases) {
  test(`${name}: parts, positions, neurons and the parts of a score are PyTorch's`, async ({
    page,
  }) => {
    const prompt = await visit(page, fixtures);
    const tokens = prompt.ids.length;
    await open(page);
    await type(page, 'answer', typed[0]);
    await settled(page, { answer: 7 });
    await type(page, 'other', typed[1]);
    await expect(page.getByTestId('attributed-other')).toHaveValue('40');
    await settled(page, { answer: 7, other: 40 });
    await expectParts(page, prompt, tokens - 1, within);

    // What heads take from each token: all of a layer, and one.
    await page.getByTestId('attributed-heads').selectOption('1');
    const sources = reference(prompt, 'attribution_sources_1').data;
    const heads = sources.length / tokens;
    const ofLayer = Array.from({ length: tokens }, (_, key) =>
      Array.from({ length: heads }, (_, head) => sources[head * tokens + key] ?? NaN).reduce(
        (sum, share) => sum + share,
      ),
    );
    const text = view(page).locator('[data-testid=attributed-text-shares] button');
    expectNear(await sharesOf(text), ofLayer, heads * within, 'shares by token of layer 1');
    await cell(page, 'head 1 1').click();
    // The selection is the page's.
    await expect(page).toHaveURL(/h=1\.1(&|$)/);
    await page.getByTestId('attributed-heads').selectOption('head');
    const ofHead = row(prompt, 'attribution_sources_1', 1, tokens);
    expectNear(await sharesOf(text), ofHead, within, 'shares by token of head 1.1');

    await page.getByTestId('attributed-neurons').selectOption('1');
    await expect(page.getByTestId('neuron-list')).toBeVisible();
    await settled(page);
    const neurons = reference(prompt, 'attribution_neurons_1').data;
    const width = neurons.length / tokens;
    const ofNeurons = row(prompt, 'attribution_neurons_1', tokens - 1, width);
    const listed = await page
      .getByTestId('neuron-list')
      .locator('li')
      .evaluateAll((all) =>
        all.map((item) => {
          const { neuron, share } = (item as HTMLElement).dataset;
          return [Number(neuron), Number(share)] as const;
        }),
      );
    const right = listed.map(([neuron]) => ofNeurons[neuron] ?? NaN);
    expectNear(
      listed.map(([, share]) => share),
      right,
      within,
      'neurons',
    );
    const most = Math.max(...ofNeurons.map(Math.abs));
    expect(Math.abs(Math.abs(listed[0]?.[1] ?? NaN) - most)).toBeLessThanOrEqual(within);

    // Another position, whose query and key PyTorch has split.
    const [layer, head, query, key] = readFixtures(fixtures).scored;
    await page.locator('.chip').nth(query).click();
    await expect(page.getByTestId('attribution-position')).toHaveAttribute(
      'data-at',
      String(query),
    );
    await settled(page, { at: query });
    await expectParts(page, prompt, query, within);
    expect([layer, head]).toEqual([1, 1]);
    await text.nth(key).click();
    const asked = page.getByTestId('head-looks').locator(`tr[data-key="${key}"]`);
    const looks = reference(prompt, `layer_${layer}_attn_probs`).data;
    const look = looks[(head * tokens + query) * tokens + key] ?? NaN;
    expect(Math.abs(Number(await asked.getAttribute('data-look')) - look)).toBeLessThan(within);
    await asked.getByRole('button').click();
    const split = page.getByTestId('split-score');
    await expect(split).toBeVisible();
    const values = reference(prompt, 'attribution_score');
    const bound = 1e-3 * Math.max(1, ...values.data.map(Math.abs));
    for (const [side, sums] of [
      ['query', byQuery(values)],
      ['key', byKey(values)],
    ] as const) {
      const shown = await page
        .getByTestId(`score-${side}`)
        .locator('li')
        .evaluateAll((all) =>
          all.map((item) => {
            const { at, share } = (item as HTMLElement).dataset;
            return [Number(at), Number(share)] as const;
          }),
        );
      expect(shown.length).toBe(6);
      expectNear(
        shown.map(([, share]) => share),
        shown.map(([at]) => sums[at] ?? NaN),
        bound,
        `parts at the ${side}`,
      );
    }
    const total = byKey(values).reduce((sum, value) => sum + value, 0);
    expect(Math.abs(Number(await split.getAttribute('data-score')) - total)).toBeLessThan(bound);
  });
}

test('the map and the picture have the colours of their numbers, in both themes', async ({
  page,
}) => {
  const prompt = await visit(page, 'demo');
  await open(page);
  const cells = view(page).locator('[data-part]');
  for (const theme of ['light', 'dark'] as const) {
    // The page follows the system as long as the reader has chosen nothing.
    await page.emulateMedia({ colorScheme: theme });
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
    const shares = await sharesOf(cells);
    const limit = Math.max(...shares.map(Math.abs));
    expect(limit).toBeGreaterThan(0.1);
    const scale: ValueScale = { kind: 'signed', limit, root: false };
    await expectBackgrounds(cells, shares, scale, theme, `the map, ${theme}`);
    // The picture is larger than its cells: one pixel of each tells its colour.
    const byLayer: number[][] = [];
    for (let layer = 0; layer < 12; layer++) {
      await page.getByTestId('attributed-heads').selectOption(String(layer));
      byLayer.push(
        await sharesOf(view(page).locator('[data-testid=attributed-text-shares] button')),
      );
    }
    const most = Math.max(...byLayer.flat().map(Math.abs));
    const canvas = page.getByTestId('source-picture').locator('canvas');
    await canvas.scrollIntoViewIfNeeded();
    const picture: ValueScale = { kind: 'signed', limit: most, root: false };
    await expect
      .poll(async () => difference(await drawingOf(canvas), byLayer, picture, theme))
      .toBe('');
    expect(byLayer[0]?.length).toBe(prompt.ids.length);
  }
});

test('by keyboard alone a reader opens it, moves in the map, selects a head and asks why', async ({
  page,
}) => {
  await visit(page, 'demo');
  await page.getByTestId('open-attribution').focus();
  await page.keyboard.press('Enter');
  await settled(page);
  await cell(page, 'embedding').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  await expect(cell(page, 'head 0 1')).toBeFocused();
  await expect(page.getByTestId('attribution-reading')).toHaveText(/^Layer 0, head 1: .* logits$/);
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('head-0-1')).toHaveAttribute('aria-pressed', 'true');
  await page.keyboard.press('PageDown');
  await expect(cell(page, 'bias')).toBeFocused();
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('End');
  await expect(cell(page, 'mlp 11')).toBeFocused();
  // The text is one stop, with arrows.
  const text = view(page).locator('[data-testid=attributed-text-shares] button');
  await text.last().focus();
  await page.keyboard.press('ArrowLeft');
  await expect(text.nth(-2)).toBeFocused();
  await expect(page.getByTestId('source-reading')).toHaveText(/^From .*: .* logits$/);
  await page.keyboard.press('Enter');
  const why = page.getByTestId('head-looks').getByRole('button').last();
  await why.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('split-score')).toBeVisible();
});

/** Press a button, and Cancel as soon as it is there. */
async function pressAndCancel(button: Locator): Promise<void> {
  await button.evaluate(async (element) => {
    (element as HTMLElement).click();
    for (;;) {
      const buttons = document.querySelectorAll<HTMLElement>('[data-testid=attribution] button');
      const cancel = [...buttons].find(({ textContent }) => textContent === 'Cancel');
      if (cancel !== undefined) {
        cancel.click();
        return;
      }
      await new Promise(requestAnimationFrame);
    }
  });
}

test('what is cancelled leaves nothing behind, and can be asked again', async ({ page }) => {
  await visit(page, 'demo', 'lang=en&h=11.1');
  const start = page.getByTestId('open-attribution');
  await pressAndCancel(start);
  await expect(start).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await expect(page.getByTestId('attribution-sum')).toHaveCount(0);
  await open(page);
  const why = page.getByTestId('head-looks').getByRole('button').first();
  await pressAndCancel(why);
  await expect(view(page).getByRole('progressbar')).toHaveCount(0);
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await expect(page.getByTestId('split-score')).toHaveCount(0);
  await why.click();
  await expect(page.getByTestId('split-score')).toBeVisible();
});

test('text that is not one token is refused in one line, and nothing changes', async ({ page }) => {
  await visit(page, 'demo');
  await open(page);
  const before = await page.getByTestId('attribution-sum').getAttribute('data-logit');
  await type(page, 'answer', 'two words');
  const problem = page.getByTestId('attributed-problem');
  await expect(problem).toHaveText(/^Got \d+ tokens, .*; expected the text of one token/);
  await page.getByTestId('attributed-text').fill('');
  await page.getByTestId('attributed-text').press('Enter');
  await expect(problem).toHaveText('Nothing was typed; expected the text of one token.');
  await expect(page.getByTestId('attributed-answer')).toHaveValue('likeliest');
  await expect(page.getByTestId('attribution-sum')).toHaveAttribute('data-logit', before ?? '');
});

test('it follows the text while it is open, and a closed one computes nothing', async ({
  page,
}) => {
  const prompt = await visit(page, 'demo');
  await open(page);
  await page.getByTestId('attributed-other').selectOption('second');
  await expect(page.getByTestId('attribution-sum')).toContainText('minus logit of');
  await settled(page);
  const box = page.getByRole('textbox').first();
  await box.fill(`${prompt.text ?? ''} Ben`);
  await settled(page, { at: prompt.ids.length });
  await view(page).getByRole('button', { name: 'Close the attribution' }).click();
  await box.fill(prompt.text ?? '');
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${prompt.ids.length} `));
  await expect(page.getByTestId('open-attribution')).toBeVisible();
  await expect(page.getByTestId('attribution-sum')).toHaveCount(0);
});

test('a bundle of an earlier contract says in one sentence that it has none', async ({ page }) => {
  await offer(page, { model: bundles.url('earlier-tiny-gpt2') });
  await page.goto('/#lang=en&on=wasm&model=model&p=1+2+3');
  await expect(page.getByTestId('facts')).toBeAttached();
  const said = page.getByTestId('no-attribution');
  await said.scrollIntoViewIfNeeded();
  await expect(said).toHaveText(/^This variant can’t be attributed: .*\.$/);
  await expect(page.getByTestId('open-attribution')).toHaveCount(0);
});

const violations = (page: Page): Promise<string[]> => axeFaults(page, '[data-testid=attribution]');

for (const language of ['en', 'zh'] as const)
  test(`axe-core finds nothing wrong in any state (${language})`, async ({ page }) => {
    await visit(page, 'demo', `lang=${language}&h=5.2`);
    await expect(page.getByTestId('open-attribution')).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await open(page);
    await page.getByTestId('attributed-neurons').selectOption('3');
    await expect(page.getByTestId('neuron-list')).toBeVisible();
    await settled(page);
    await page.getByTestId('head-looks').getByRole('button').first().click();
    await expect(page.getByTestId('split-score')).toBeVisible();
    await type(page, 'answer', 'two words');
    await expect(page.getByTestId('attributed-problem')).not.toBeEmpty();
    expect(await violations(page)).toEqual([]);
    await page.getByTestId('theme').click();
    expect(await violations(page)).toEqual([]);
  });
