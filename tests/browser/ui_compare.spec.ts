// The comparison of two runs on the bundled model: aligned tokens, and what differs in prediction, lens and streams, against
// PyTorch; a cell that is dragged from one run to the other; and runs that are kept, in the link and over a reload.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { askPython, checkpoints } from './ask_python';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures, readPageEdits, reference } from './fixtures';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 90_000 });
const sentence = readFixtures('demo').prompt('sentence');
/** As many tokens as the sentence; its names stand exchanged. */
const OTHER = readPageEdits().sweep.text;

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

interface Run {
  readonly ids: readonly number[];
  readonly logits: readonly number[];
  readonly streams: readonly (readonly (readonly number[])[])[];
  readonly guesses: readonly (readonly number[])[];
  readonly likeliest: readonly (readonly number[])[];
}
type Patch = readonly [text: number, layer: number, position: number, to: number, at: number];

/** Run texts in PyTorch, some with streams of earlier ones put in. */
function inTorch(texts: readonly { text: string; patches: readonly Patch[] }[]): Run[] {
  const asked = {
    checkpoint: checkpoints.demo,
    texts: texts.map(({ text, patches }) => ({ text, patches })),
  };
  return askPython('compare_in_torch.py', [], JSON.stringify(asked)) as Run[];
}

async function open(page: Page, more: string): Promise<Locator> {
  const text = encodeURIComponent(sentence.text ?? '');
  await page.goto(`/#lang=en&on=wasm&v=fp32&p=${text}${more}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('token-count')).toHaveText(/^14 /);
  await page.locator('#compare').scrollIntoViewIfNeeded();
  const view = page.getByTestId('compare');
  await expect(view).toBeVisible();
  await view.scrollIntoViewIfNeeded();
  return view;
}

const norm = (vector: readonly number[]): number => Math.hypot(...vector);
const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? NaN), 0);

async function numbersOf(map: Locator): Promise<number[]> {
  return ((await map.getAttribute('data-values')) ?? '').split(' ').map(Number);
}

/** Choose a text to compare with, and wait for its numbers. */
async function beside(view: Locator, text: string): Promise<void> {
  await view.getByRole('combobox', { name: 'Beside' }).selectOption(':text');
  await view.getByTestId('other-text').fill(text);
  await expect(view.getByTestId('stream-map')).toBeVisible();
}

function cell(view: Locator, side: 'a' | 'b', layer: number, position: number): Locator {
  return view.locator(`[data-cell-of=${side}][data-layer="${layer}"][data-position="${position}"]`);
}

/** Wait until the lens of a side shows what PyTorch's streams give, in every cell in sight. */
async function expectLens(view: Locator, side: 'a' | 'b', right: Run): Promise<void> {
  const error = async (): Promise<number> => {
    const shown = await view.locator(`[data-cell-of=${side}]`).evaluateAll((all) =>
      all.map(({ attributes }) => {
        const number = (name: string): number => Number(attributes.getNamedItem(name)?.value);
        return [
          ...[number('data-layer'), number('data-position')],
          ...[number('data-guess'), number('data-probability')],
        ] as const;
      }),
    );
    if (shown.length < 8) return Infinity;
    return shown.reduce((most, [layer, position, guess, probability]) => {
      if (right.guesses[layer]?.[position] !== guess) return Infinity;
      return Math.max(most, Math.abs(probability - (right.likeliest[layer]?.[position] ?? NaN)));
    }, 0);
  };
  await expect.poll(error).toBeLessThan(1e-4);
}

test('two texts: aligned, and their differences in prediction, lens and streams are PyTorch’s', async ({
  page,
}) => {
  const view = await open(page, '');
  await beside(view, OTHER);
  const [a, b] = inTorch([
    { text: sentence.text ?? '', patches: [] },
    { text: OTHER, patches: [] },
  ]);
  if (a === undefined || b === undefined) throw new Error('no runs');
  const exchanged = a.ids.filter((id, at) => id !== b.ids[at]).length;
  expect(exchanged).toBe(3);
  await expect(view.getByTestId('alignment')).toHaveText(
    `${14 - exchanged} tokens are the same, ${exchanged} are exchanged, 0 stand only in this run and 0 only in the other.`,
  );

  const [p, q] = [softmax(a.logits), softmax(b.logits)];
  for (const row of await view.getByTestId('pair').all()) {
    const id = Number(await row.getAttribute('data-id'));
    expect(Math.abs(Number(await row.getAttribute('data-a')) - (p[id] ?? NaN))).toBeLessThan(1e-4);
    expect(Math.abs(Number(await row.getAttribute('data-b')) - (q[id] ?? NaN))).toBeLessThan(1e-4);
  }
  const nats = (from: ArrayLike<number>, to: ArrayLike<number>): number =>
    Array.from(from).reduce((sum, share, at) => sum + share * Math.log(share / (to[at] ?? NaN)), 0);
  const divergence = view.getByTestId('divergence');
  expect(Math.abs(Number(await divergence.getAttribute('data-ab')) - nats(p, q))).toBeLessThan(
    1e-3,
  );
  expect(Math.abs(Number(await divergence.getAttribute('data-ba')) - nats(q, p))).toBeLessThan(
    1e-3,
  );

  await expectLens(view, 'a', a);
  await expectLens(view, 'b', b);
  const changed = a.guesses.flatMap((row, layer) =>
    row.filter((guess, at) => guess !== b.guesses[layer]?.[at]),
  ).length;
  expect(changed).toBeGreaterThan(5);
  await expect(view.getByTestId('lens-changed')).toHaveAttribute('data-changed', String(changed));

  const vectors = a.streams.flatMap((rows, layer) =>
    rows.map((row, at) => [row, b.streams[layer]?.[at] ?? []] as const),
  );
  const largest = Math.max(...vectors.flat().map(norm));
  const lengths = vectors.map(([x, y]) => norm(x.map((value, at) => value - (y[at] ?? NaN))));
  const map = view.getByTestId('stream-map');
  (await numbersOf(map)).forEach((length, at) => {
    expect(Math.abs(length - (lengths[at] ?? NaN))).toBeLessThan(1e-5 * largest);
  });
  await view.getByTestId('stream-measure').selectOption('cosine');
  await expect(map).not.toHaveAttribute('data-values', / [2-9]/);
  (await numbersOf(map)).forEach((cosine, at) => {
    const [x, y] = vectors[at] ?? [[], []];
    expect(Math.abs(cosine - dot(x, y) / (norm(x) * norm(y)))).toBeLessThan(1e-4);
  });

  // With a word more, a gap faces it, and the rest keeps its pairs.
  await view.getByTestId('other-text').fill(OTHER.replace('the shop', 'the big shop'));
  await expect(view.getByTestId('alignment')).toContainText('and 1 only in the other');
  await expect(view.getByTestId('aligned-a').filter({ hasText: '–' })).toHaveCount(1);
  await expect(page).toHaveURL(/beside=text\.When\+Ben/);
});

/** The middle of a cell, in the window. */
async function middleOf(place: Locator): Promise<{ x: number; y: number }> {
  await place.scrollIntoViewIfNeeded();
  const box = await place.boundingBox();
  if (box === null) throw new Error('the cell is not drawn');
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

/** Expect the prediction beside the text to be PyTorch's. */
async function expectPrediction(page: Page, right: Run): Promise<void> {
  const truth = softmax(right.logits);
  const best = truth.indexOf(Math.max(...truth));
  const first = page.getByTestId('candidate').first();
  await expect(first).toHaveAttribute('data-id', String(best));
  const error = async (): Promise<number> =>
    Math.abs(Number(await first.getAttribute('data-probability')) - (truth[best] ?? NaN));
  await expect.poll(error).toBeLessThan(1e-4);
}

test('a cell dragged to the other run, by mouse and by keyboard, is PyTorch’s patch', async ({
  page,
}) => {
  // Both grids and the page's head at once.
  await page.setViewportSize({ width: 1440, height: 1300 });
  const view = await open(page, `&beside=${encodeURIComponent(`text.${OTHER}`)}`);
  const lens = view.getByTestId('patch-lens');
  await expect(cell(view, 'a', 2, 9)).toBeVisible();
  const text = sentence.text ?? '';
  const [plain, , patched, moved] = inTorch([
    { text, patches: [] },
    { text: OTHER, patches: [] },
    { text, patches: [[1, 2, 9, 2, 9]] },
    { text, patches: [[1, 5, 3, 7, 4]] },
  ]);
  if (plain === undefined || patched === undefined || moved === undefined) throw new Error('none');

  await lens.scrollIntoViewIfNeeded();
  const to = await middleOf(cell(view, 'a', 2, 9));
  const from = await middleOf(cell(view, 'b', 2, 9));
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(from.x, from.y + 20);
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await expect(view.getByTestId('patch-status')).toContainText('Layer 2 at');
  // What the change can reach: there, and later layers at this token and those behind it.
  const marks = await view
    .locator('[data-cell-of=a]')
    .evaluateAll((all) =>
      all.map((each) => [
        Number(each.getAttribute('data-layer')),
        Number(each.getAttribute('data-position')),
        each.classList.contains('reached'),
      ]),
    );
  for (const [layer, position, isReached] of marks)
    expect(isReached, `${String(layer)}.${String(position)}`).toBe(
      (layer === 2 && position === 9) || (Number(layer) > 2 && Number(position) >= 9),
    );
  await page.mouse.up();
  await expect(view.getByTestId('patch-done')).toContainText('is now that of the other run');
  await expectPrediction(page, patched);
  await expectLens(view, 'a', patched);
  const effect = view.getByTestId('patch-effect');
  const changed = plain.guesses.flatMap((row, layer) =>
    row.filter((guess, at) => guess !== patched.guesses[layer]?.[at]),
  ).length;
  expect(changed).toBeGreaterThan(0);
  await expect(effect).toHaveAttribute('data-changed', String(changed));
  const [p, q] = [softmax(patched.logits), softmax(plain.logits)];
  const nats = p.reduce((sum, share, at) => sum + share * Math.log(share / (q[at] ?? NaN)), 0);
  expect(Math.abs(Number(await effect.getAttribute('data-kl')) - nats)).toBeLessThan(1e-3);
  const edits = (): unknown =>
    JSON.parse(new URLSearchParams(new URL(page.url()).hash.slice(1)).get('e') ?? '[]');
  await expect.poll(edits).toEqual([
    {
      ...{ edit: 'replace', joint: 'resid_post', layer: 2, position: 9 },
      from: { text: OTHER, at: 9, layer: 2 },
    },
  ]);
  await view.getByTestId('take-back').click();
  await expect(view.getByTestId('patch-effect')).toHaveCount(0);
  await expectPrediction(page, plain);

  // By keyboard: pick, move to another layer and token, drop. Escape lets go before.
  await cell(view, 'b', 5, 3).focus();
  await page.keyboard.press('Enter');
  await expect(cell(view, 'a', 5, 3)).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(cell(view, 'b', 5, 3)).toBeFocused();
  await page.keyboard.press('Enter');
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowRight']) await page.keyboard.press(key);
  await expect(cell(view, 'a', 7, 4)).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('edit-words').or(view.getByTestId('patch-done'))).not.toHaveCount(
    0,
  );
  await expectPrediction(page, moved);
  await expectLens(view, 'a', moved);
  // The link gives the same elsewhere.
  await expect.poll(edits).toMatchObject([{ layer: 7, position: 4, from: { at: 3, layer: 5 } }]);
  const again = await page.context().newPage();
  await again.goto(page.url());
  await expectPrediction(again, moved);
});

test('runs are kept by name, compared, opened again, and come back by the link', async ({
  page,
}) => {
  const view = await open(page, `&off=5.2`);
  const kept = page.getByTestId('kept-runs');
  const runs = kept.getByTestId('kept-run');
  await kept.getByTestId('keep-run').click();
  await kept.getByTestId('run-name').fill('head off');
  await kept.getByTestId('run-name').press('Tab');
  const [off] = await page
    .getByTestId('candidate')
    .first()
    .evaluateAll((all) =>
      all.map((each) => [each.getAttribute('data-id'), each.getAttribute('data-probability')]),
    );
  // Without the head, the same text is compared with the kept run: A is PyTorch's.
  await page.getByTestId('off-badge').getByRole('button').last().click();
  await expect(page.getByTestId('off-badge')).toHaveCount(0);
  await runs.first().getByRole('button', { name: 'Compare with the run “head off”' }).click();
  await expect(view.getByTestId('pair').first()).toBeVisible();
  const [right] = inTorch([{ text: sentence.text ?? '', patches: [] }]);
  const truth = softmax(right?.logits ?? []);
  const shown = async (): Promise<boolean> => {
    let fits = 0;
    for (const row of await view.getByTestId('pair').all()) {
      const id = await row.getAttribute('data-id');
      const ofA = Number(await row.getAttribute('data-a'));
      if (Math.abs(ofA - (truth[Number(id)] ?? NaN)) > 1e-4) return false;
      if (id !== off?.[0]) continue;
      if (Math.abs(Number(await row.getAttribute('data-b')) - Number(off[1])) > 1e-5) return false;
      fits++;
    }
    return fits === 1;
  };
  await expect.poll(shown).toBe(true);
  await expect(view.getByTestId('divergence')).toContainText('KL(this run ‖ head off) is');
  await expect(page).toHaveURL(/beside=run\.0/);
  await expect(page).toHaveURL(/runs=/);

  // Over a reload, with its name, and as the other side; nothing was stored but the description.
  await page.reload();
  await expect(runs).toHaveCount(1);
  await expect(kept.getByTestId('run-name')).toHaveValue('head off');
  await page.locator('#compare').scrollIntoViewIfNeeded();
  await expect(view.getByTestId('pair').first()).toBeVisible();
  await expect.poll(shown).toBe(true);

  // Opened again, it is the page's run, with its edit.
  await kept.getByRole('button', { name: 'Open the run “head off”' }).click();
  await expect(page.getByTestId('off-badge')).toBeVisible();
  const first = page.getByTestId('candidate').first();
  await expect(first).toHaveAttribute('data-id', off?.[0] ?? '');
  await expect(page).toHaveURL(/off=5\.2/);
  await kept.getByRole('button', { name: 'Remove the run “head off”' }).click();
  await expect(runs).toHaveCount(0);
  await expect(page).not.toHaveURL(/runs=/);
});

test('two models: a kept run of another one is loaded beside, and each answers as in PyTorch', async ({
  page,
}) => {
  await offer(page, { demo: 'demo/manifest.json', tiny: bundles.url('tiny-gpt2') });
  const text = sentence.text ?? '';
  const kept = { n: 'the tiny one', m: 'tiny-gpt2', l: 'tiny', v: 'fp32', p: text };
  const view = await open(
    page,
    `&beside=run.0&runs=${encodeURIComponent(JSON.stringify({ runs: [kept] }))}`,
  );
  await expect(view).toContainText('It is of tiny-gpt2 in fp32');
  await view.getByTestId('compare-load').click();
  await expect(view.getByTestId('pair').first()).toBeVisible();
  const [p, q] = ['demo', 'tiny-gpt2'].map((model) => {
    const { dims, data } = reference(readFixtures(model).prompt('sentence'), 'logits');
    return softmax(Array.from(data.slice(-(dims.at(-1) ?? 0))));
  });
  for (const row of await view.getByTestId('pair').all()) {
    const id = Number(await row.getAttribute('data-id'));
    expect(Math.abs(Number(await row.getAttribute('data-a')) - (p?.[id] ?? NaN))).toBeLessThan(
      1e-4,
    );
    expect(Math.abs(Number(await row.getAttribute('data-b')) - (q?.[id] ?? NaN))).toBeLessThan(
      1e-4,
    );
  }
  // Streams of other widths are not subtracted, and nothing of one is put into the other.
  await view.getByTestId('compare-deeper').click();
  await expect(view.getByTestId('stream-difference')).toContainText('differ in width');
  const lens = view.getByTestId('patch-lens');
  await expect(lens).toContainText('nothing can be put in');
  await cell(view, 'b', 1, 1).click();
  await expect(view.getByTestId('patch-status')).not.toContainText('Picked');
});

test('by touch, on a narrow screen: a tap picks, a tap drops, nothing overflows, and axe finds nothing', async ({
  browser,
}) => {
  const context = await browser.newContext({
    ...{ hasTouch: true, viewport: { width: 390, height: 844 } },
    serviceWorkers: 'block',
  });
  const page = await context.newPage();
  const view = await open(page, `&beside=${encodeURIComponent(`text.${OTHER}`)}`);
  await expect(cell(view, 'b', 2, 1)).toBeVisible();
  await cell(view, 'b', 2, 1).tap();
  await expect(view.getByTestId('patch-status')).toContainText('Picked');
  expect(await wrongIn(page)).toEqual([]);
  await cell(view, 'a', 2, 1).tap();
  await expect(view.getByTestId('patch-done')).toBeVisible();
  const text = sentence.text ?? '';
  const [, , patched] = inTorch([
    { text, patches: [] },
    { text: OTHER, patches: [] },
    { text, patches: [[1, 2, 1, 2, 1]] },
  ]);
  if (patched === undefined) throw new Error('no run');
  await expectLens(view, 'a', patched);
  const overflow = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  expect(overflow).toBe(0);
  expect(await wrongIn(page)).toEqual([]);
  await context.close();
});

/** List what axe-core finds wrong within the view and the kept runs. */
async function wrongIn(page: Page): Promise<string[]> {
  const parts = ['[data-testid=compare]', '[data-testid=kept-runs]'];
  const found: string[] = [];
  for (const part of parts) found.push(...(await axeFaults(page, part)));
  return found;
}
